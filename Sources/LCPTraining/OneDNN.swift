#if Training
import CDNNL

/// The processor, as oneDNN sees it: an engine and an in-order stream.
final class OneDNN {
    let engine: dnnl_engine_t
    let stream: dnnl_stream_t

    init() throws(TrainingError) {
        var engine: dnnl_engine_t?
        var stream: dnnl_stream_t?
        try check(dnnl_engine_create(&engine, dnnl_cpu, 0), "starting oneDNN")
        guard let engine else { throw TrainingError("oneDNN finds no processor") }
        try check(dnnl_stream_create(&stream, engine, UInt32(dnnl_stream_default_flags.rawValue)), "starting oneDNN")
        guard let stream else { throw TrainingError("oneDNN starts no stream") }
        self.engine = engine
        self.stream = stream
    }

    deinit {
        dnnl_stream_destroy(stream)
        dnnl_engine_destroy(engine)
    }

    /// A view of `data` with the given dimensions; whoever makes it destroys it.
    func memory(_ dimensions: [Int], _ tag: dnnl_format_tag_t, _ data: UnsafeMutablePointer<Float>)
        throws(TrainingError) -> dnnl_memory_t
    {
        var memory: dnnl_memory_t?
        try check(
            lcp_dnnl_memory(&memory, Int32(dimensions.count), dimensions.map(Int64.init), tag, engine, data),
            "describing memory")
        guard let memory else { throw TrainingError("oneDNN made no memory") }
        return memory
    }

    func execute(_ primitive: dnnl_primitive_t, _ arguments: [dnnl_exec_arg_t], _ action: String) throws(TrainingError)
    {
        try check(dnnl_primitive_execute(primitive, stream, Int32(arguments.count), arguments), action)
        try check(dnnl_stream_wait(stream), action)
    }
}

/// C = A·B, or C += A·B, row-major; `transposeA` and `transposeB` read the matrices as their transposes.
func multiply(
    _ a: UnsafePointer<Float>, transposeA: Bool = false, _ b: UnsafePointer<Float>, transposeB: Bool = false,
    into c: UnsafeMutablePointer<Float>, rows: Int, columns: Int, inner: Int, accumulate: Bool = false
) throws(TrainingError) {
    let status = dnnl_sgemm(
        CChar(bitPattern: UInt8(ascii: transposeA ? "T" : "N")),
        CChar(bitPattern: UInt8(ascii: transposeB ? "T" : "N")),
        Int64(rows), Int64(columns), Int64(inner), 1, a, Int64(transposeA ? rows : inner), b,
        Int64(transposeB ? inner : columns), accumulate ? 1 : 0, c, Int64(columns))
    try check(status, "multiplying matrices")
}

func check(_ status: dnnl_status_t, _ action: String) throws(TrainingError) {
    guard status != dnnl_success else { return }
    let reason =
        switch status {
        case dnnl_out_of_memory: "out of memory"
        case dnnl_invalid_arguments: "invalid arguments"
        case dnnl_unimplemented: "not implemented for this shape"
        default: "status \(status.rawValue)"
        }
    throw TrainingError("\(action) failed in oneDNN: \(reason)")
}
#endif
