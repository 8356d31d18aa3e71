// Runs one network many times in ONNX Runtime or OpenVINO and prints how long a run took: the library is timed, not Python.
//
//   engine-timer onnxruntime|openvino LIBRARY MODEL.onnx INPUT.f32 RUNS [KEY=VALUE ...]
//
// LIBRARY is the shared library inside the engine's wheel from PyPI, INPUT.f32 the 28 × 28 raw floats of one input. Both engines
// get one thread, batch 1, FP32, and tensors that are made once, before the clock starts. KEY=VALUE are further properties for
// OpenVINO. compare.py compiles this, with the OpenVINO wheel's own headers, and calls it.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <openvino/c/openvino.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INPUTS = 28 * 28, OUTPUTS = 10, WARMUP_RUNS = 500, OWN_PROPERTIES = 5, MOST_PROPERTIES = 8 };

static float input[INPUTS] __attribute__((aligned(64)));
static float output[OUTPUTS] __attribute__((aligned(64)));

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("engine-timer: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) fail("the library has no %s: it is of a version that this program does not know", name);
    return found;
}

/// An engine, prepared: `run` computes `output` from `input` once.
struct engine {
    void *context;
    void (*run)(void *context);
    char version[64];
};

// MARK: ONNX Runtime

// The wheel brings no header. Its C interface is a table of functions to which later versions only append, and the library asserts
// that at its own compile time; so the places below, counted in the header of version 1.10, hold for every later one.
// compare.py checks the numbers that come out against a computation of its own.
enum ort_place {
    ORT_GET_ERROR_MESSAGE = 2,
    ORT_CREATE_ENV = 3,
    ORT_CREATE_SESSION = 7,
    ORT_CREATE_SESSION_OPTIONS = 10,
    ORT_SET_GRAPH_OPTIMIZATION_LEVEL = 23,
    ORT_SET_INTRA_OP_THREADS = 24,
    ORT_SET_INTER_OP_THREADS = 25,
    ORT_CREATE_RUN_OPTIONS = 39,
    ORT_CREATE_TENSOR_WITH_DATA = 49,
    ORT_CREATE_CPU_MEMORY_INFO = 69,
    ORT_RUN_WITH_BINDING = 133,
    ORT_CREATE_IO_BINDING = 134,
    ORT_BIND_INPUT = 136,
    ORT_BIND_OUTPUT = 137,
};
enum { ORT_API_VERSION = 10, ORT_LOG_WARNING = 2, ORT_ENABLE_ALL = 99, ORT_FLOAT = 1, ORT_DEVICE_ALLOCATOR = 0,
       ORT_MEMORY_DEFAULT = 0 };

typedef void *ort_status;
typedef void (*ort_function)(void);
struct ort_base {
    const ort_function *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

static const ort_function *ort;
static struct {
    void *session, *run_options, *binding;
    ort_status (*run)(void *session, const void *run_options, const void *binding);
} ort_context;

static void ort_check(ort_status status, const char *what) {
    if (status) fail("ONNX Runtime cannot %s: %s", what, ((const char *(*)(ort_status))ort[ORT_GET_ERROR_MESSAGE])(status));
}

// Every function here returns a status and takes what its name says.
#define ORT(place, what, types, ...) ort_check(((ort_status(*) types)ort[place])(__VA_ARGS__), what)

static void ort_run(void *context) {
    (void)context;
    ort_status status = ort_context.run(ort_context.session, ort_context.run_options, ort_context.binding);
    if (status) ort_check(status, "run the model");
}

static struct engine ort_make(void *library, const char *model) {
    const struct ort_base *(*base_of)(void) = (const struct ort_base *(*)(void))symbol(library, "OrtGetApiBase");
    const struct ort_base *base = base_of();
    ort = base->get_api(ORT_API_VERSION);
    if (!ort) fail("ONNX Runtime %s no longer offers version %d of its interface", base->get_version(), ORT_API_VERSION);

    void *environment = NULL, *options = NULL, *memory = NULL, *in = NULL, *out = NULL;
    ORT(ORT_CREATE_ENV, "start", (int, const char *, void **), ORT_LOG_WARNING, "engine-timer", &environment);
    ORT(ORT_CREATE_SESSION_OPTIONS, "make options", (void **), &options);
    ORT(ORT_SET_GRAPH_OPTIMIZATION_LEVEL, "set its optimisations", (void *, int), options, ORT_ENABLE_ALL);
    ORT(ORT_SET_INTRA_OP_THREADS, "take one thread", (void *, int), options, 1);
    ORT(ORT_SET_INTER_OP_THREADS, "take one thread", (void *, int), options, 1);
    ORT(ORT_CREATE_SESSION, "load the model", (void *, const char *, void *, void **), environment, model, options,
        &ort_context.session);
    ORT(ORT_CREATE_RUN_OPTIONS, "make run options", (void **), &ort_context.run_options);
    ORT(ORT_CREATE_CPU_MEMORY_INFO, "describe memory", (int, int, void **), ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, &memory);
    const int64_t in_shape[] = {1, 1, 28, 28}, out_shape[] = {1, OUTPUTS};
    ORT(ORT_CREATE_TENSOR_WITH_DATA, "make a tensor", (void *, void *, size_t, const int64_t *, size_t, int, void **), memory,
        input, sizeof input, in_shape, 4, ORT_FLOAT, &in);
    ORT(ORT_CREATE_TENSOR_WITH_DATA, "make a tensor", (void *, void *, size_t, const int64_t *, size_t, int, void **), memory,
        output, sizeof output, out_shape, 2, ORT_FLOAT, &out);
    ORT(ORT_CREATE_IO_BINDING, "bind", (void *, void **), ort_context.session, &ort_context.binding);
    ORT(ORT_BIND_INPUT, "bind the input", (void *, const char *, void *), ort_context.binding, "input", in);
    ORT(ORT_BIND_OUTPUT, "bind the output", (void *, const char *, void *), ort_context.binding, "output", out);
    ort_context.run = (ort_status(*)(void *, const void *, const void *))ort[ORT_RUN_WITH_BINDING];

    struct engine engine = {.run = ort_run};
    snprintf(engine.version, sizeof engine.version, "%s", base->get_version());
    return engine;
}

// MARK: OpenVINO

static const char *(*ov_message)(void);
static __typeof__(ov_infer_request_infer) *ov_infer;

static void ov_check(ov_status_e status, const char *what) {
    if (status != OK) fail("OpenVINO cannot %s: %s (%d)", what, ov_message(), (int)status);
}

static void ov_run(void *context) {
    if (ov_infer(context) != OK) ov_check(GENERAL_ERROR, "run the model");
}

// The types come from the wheel's headers, the functions from its library.
#define OV(name) ((__typeof__(name) *)symbol(library, #name))

static struct engine ov_make(void *library, const char *model, char **properties, size_t count) {
    ov_message = (const char *(*)(void))symbol(library, "ov_get_last_err_msg");
    ov_infer = OV(ov_infer_request_infer);
    ov_core_t *core = NULL;
    ov_compiled_model_t *compiled = NULL;
    ov_infer_request_t *request = NULL;
    ov_check(OV(ov_core_create)(&core), "start");
    // FP32 like the others: on a processor with BF16 instructions it would otherwise compute with fewer bits.
    // Not pinned to a core: that is faster here, and nobody else is pinned.
    const char *pairs[2 * (OWN_PROPERTIES + MOST_PROPERTIES)] = {
        "INFERENCE_NUM_THREADS", "1",   "NUM_STREAMS",        "1", "PERFORMANCE_HINT", "LATENCY",
        "INFERENCE_PRECISION_HINT", "f32", "ENABLE_CPU_PINNING", "NO",
    };
    for (size_t i = 0; i < count; i++) {
        char *equals = strchr(properties[i], '=');
        if (!equals) fail("a property has to be KEY=VALUE, not '%s'", properties[i]);
        *equals = 0;
        pairs[2 * (OWN_PROPERTIES + i)] = properties[i];
        pairs[2 * (OWN_PROPERTIES + i) + 1] = equals + 1;
    }
    for (size_t i = 0; i < OWN_PROPERTIES + count; i++)
        ov_check(OV(ov_core_set_property)(core, "CPU", pairs[2 * i], pairs[2 * i + 1]), pairs[2 * i]);
    ov_check(OV(ov_core_compile_model_from_file)(core, model, "CPU", 0, &compiled), "load the model");
    ov_check(OV(ov_compiled_model_create_infer_request)(compiled, &request), "make a request");
    int64_t in_dimensions[] = {1, 1, 28, 28}, out_dimensions[] = {1, OUTPUTS};
    ov_shape_t in_shape = {4, in_dimensions}, out_shape = {2, out_dimensions};
    ov_tensor_t *in = NULL, *out = NULL;
    ov_check(OV(ov_tensor_create_from_host_ptr)(F32, in_shape, input, &in), "make a tensor");
    ov_check(OV(ov_tensor_create_from_host_ptr)(F32, out_shape, output, &out), "make a tensor");
    ov_check(OV(ov_infer_request_set_input_tensor)(request, in), "take the input");
    ov_check(OV(ov_infer_request_set_output_tensor)(request, out), "take the output");

    struct engine engine = {.context = request, .run = ov_run};
    ov_version_t version;
    ov_check(OV(ov_get_openvino_version)(&version), "say its version");
    snprintf(engine.version, sizeof engine.version, "%s", version.buildNumber);
    return engine;
}

// MARK: the clock

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc < 6) fail("usage: engine-timer onnxruntime|openvino LIBRARY MODEL.onnx INPUT.f32 RUNS [KEY=VALUE ...]");
    long runs = strtol(argv[5], NULL, 10);
    if (runs < 1 || runs > 10000000) fail("RUNS is a number from 1 to 10000000, not '%s'", argv[5]);
    if (argc - 6 > MOST_PROPERTIES) fail("at most %d properties", MOST_PROPERTIES);
    FILE *file = fopen(argv[4], "rb");
    if (!file || fread(input, sizeof *input, INPUTS, file) != INPUTS) fail("cannot read %d floats from %s", INPUTS, argv[4]);
    fclose(file);
    void *library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (!library) fail("cannot load the engine: %s", dlerror());

    struct engine engine = strcmp(argv[1], "onnxruntime") == 0 ? ort_make(library, argv[3])
                         : strcmp(argv[1], "openvino") == 0    ? ov_make(library, argv[3], argv + 6, (size_t)(argc - 6))
                                                               : (fail("there is no engine '%s'", argv[1]), (struct engine){0});
    int64_t *times = malloc((size_t)runs * sizeof *times);
    if (!times) fail("no memory for %ld times", runs);
    for (int i = 0; i < WARMUP_RUNS; i++) engine.run(engine.context);
    for (long i = 0; i < runs; i++) {
        int64_t start = now_ns();
        engine.run(engine.context);
        times[i] = now_ns() - start;
    }
    qsort(times, (size_t)runs, sizeof *times, compare);
    printf("{\"engine\":\"%s\",\"version\":\"%s\",\"runs\":%ld,\"median_us\":%.2f,\"min_us\":%.2f,\"p99_us\":%.2f,\"output\":[",
           argv[1], engine.version, runs, (double)times[runs / 2] / 1000, (double)times[0] / 1000,
           (double)times[(runs - 1) * 99 / 100] / 1000);
    for (int i = 0; i < OUTPUTS; i++) printf("%s%.7g", i ? "," : "", (double)output[i]);
    puts("]}");
    fflush(stdout);
    // The engines' threads and tables go with the process: taking them down is not what is measured.
    _Exit(0);
}
