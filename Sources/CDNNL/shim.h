#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>

// oneDNN changed how memory and primitives are described between 2.x (Debian 12) and 3.x (Debian 13). What lcp needs of both,
// in one shape: plain NCHW activations and OIHW weights in 32-bit floats.

static inline dnnl_status_t lcp_dnnl_memory(
    dnnl_memory_t *memory, int rank, const dnnl_dim_t *dimensions, dnnl_format_tag_t tag, dnnl_engine_t engine, void *data) {
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t description;
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&description, rank, dimensions, dnnl_f32, tag);
    if (status != dnnl_success) return status;
    status = dnnl_memory_create(memory, description, engine, data);
    dnnl_memory_desc_destroy(description);
    return status;
#else
    dnnl_memory_desc_t description;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(&description, rank, dimensions, dnnl_f32, tag);
    if (status != dnnl_success) return status;
    return dnnl_memory_create(memory, &description, engine, data);
#endif
}

// The three primitives of a convolution with bias: forward, gradient of the input, gradient of weights and bias.
// `stride` and `padding` have two numbers each, height first. A null `backward_data` is not made.
static inline dnnl_status_t lcp_dnnl_convolution(
    dnnl_primitive_t *forward, dnnl_primitive_t *backward_data, dnnl_primitive_t *backward_weights, dnnl_engine_t engine,
    const dnnl_dim_t *source, const dnnl_dim_t *weights, const dnnl_dim_t *bias, const dnnl_dim_t *destination,
    const dnnl_dim_t *stride, const dnnl_dim_t *padding) {
    dnnl_primitive_desc_t forward_description = NULL, description = NULL;
    dnnl_status_t status;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t src = NULL, wei = NULL, bia = NULL, dst = NULL;
    const dnnl_dim_t dilation[2] = {0, 0};
    status = dnnl_memory_desc_create_with_tag(&src, 4, source, dnnl_f32, dnnl_nchw);
    if (status == dnnl_success) status = dnnl_memory_desc_create_with_tag(&wei, 4, weights, dnnl_f32, dnnl_oihw);
    if (status == dnnl_success) status = dnnl_memory_desc_create_with_tag(&bia, 1, bias, dnnl_f32, dnnl_a);
    if (status == dnnl_success) status = dnnl_memory_desc_create_with_tag(&dst, 4, destination, dnnl_f32, dnnl_nchw);
    if (status == dnnl_success)
        status = dnnl_convolution_forward_primitive_desc_create(
            &forward_description, engine, dnnl_forward_training, dnnl_convolution_direct, src, wei, bia, dst, stride, dilation,
            padding, padding, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(forward, forward_description);
    if (status == dnnl_success && backward_data) {
        status = dnnl_convolution_backward_data_primitive_desc_create(
            &description, engine, dnnl_convolution_direct, src, wei, dst, stride, dilation, padding, padding,
            forward_description, NULL);
        if (status == dnnl_success) status = dnnl_primitive_create(backward_data, description);
        if (description) dnnl_primitive_desc_destroy(description);
        description = NULL;
    }
    if (status == dnnl_success) {
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            &description, engine, dnnl_convolution_direct, src, wei, bia, dst, stride, dilation, padding, padding,
            forward_description, NULL);
        if (status == dnnl_success) status = dnnl_primitive_create(backward_weights, description);
        if (description) dnnl_primitive_desc_destroy(description);
    }
    if (src) dnnl_memory_desc_destroy(src);
    if (wei) dnnl_memory_desc_destroy(wei);
    if (bia) dnnl_memory_desc_destroy(bia);
    if (dst) dnnl_memory_desc_destroy(dst);
#else
    dnnl_memory_desc_t src, wei, bia, dst;
    dnnl_convolution_desc_t operation;
    status = dnnl_memory_desc_init_by_tag(&src, 4, source, dnnl_f32, dnnl_nchw);
    if (status == dnnl_success) status = dnnl_memory_desc_init_by_tag(&wei, 4, weights, dnnl_f32, dnnl_oihw);
    if (status == dnnl_success) status = dnnl_memory_desc_init_by_tag(&bia, 1, bias, dnnl_f32, dnnl_a);
    if (status == dnnl_success) status = dnnl_memory_desc_init_by_tag(&dst, 4, destination, dnnl_f32, dnnl_nchw);
    if (status == dnnl_success)
        status = dnnl_convolution_forward_desc_init(
            &operation, dnnl_forward_training, dnnl_convolution_direct, &src, &wei, &bia, &dst, stride, padding, padding);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&forward_description, &operation, NULL, engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(forward, forward_description);
    if (status == dnnl_success && backward_data) {
        status = dnnl_convolution_backward_data_desc_init(
            &operation, dnnl_convolution_direct, &src, &wei, &dst, stride, padding, padding);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(&description, &operation, NULL, engine, forward_description);
        if (status == dnnl_success) status = dnnl_primitive_create(backward_data, description);
        if (description) dnnl_primitive_desc_destroy(description);
        description = NULL;
    }
    if (status == dnnl_success) {
        status = dnnl_convolution_backward_weights_desc_init(
            &operation, dnnl_convolution_direct, &src, &wei, &bia, &dst, stride, padding, padding);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(&description, &operation, NULL, engine, forward_description);
        if (status == dnnl_success) status = dnnl_primitive_create(backward_weights, description);
        if (description) dnnl_primitive_desc_destroy(description);
    }
#endif
    if (forward_description) dnnl_primitive_desc_destroy(forward_description);
    return status;
}
