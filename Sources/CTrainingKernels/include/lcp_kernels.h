// Kernels for training on a processor: 32-bit floats, sixteen images side by side.
//
// Every activation lies as [block][channel][row][column][16 images]. So a layer with one channel fills the vector unit as well
// as one with a hundred, which is what narrow branches need and what libraries that put 8 or 16 channels side by side cannot
// give. Columns may have a halo of zeros on both sides; rows have none, kernels leave them out. All pointers are aligned to 64
// bytes, strides count floats, weights lie as in PyTorch.
#ifndef LCP_KERNELS_H
#define LCP_KERNELS_H

#include "../../CBranchKernels/include/lcp_activation.h"
#include <stddef.h>
#include <stdint.h>

// Images in a block.
#define LCP_LANES 16

// How feature maps lie: the stride from channel to channel, from row to row, from block to block, and where column 0 is.
typedef struct {
    int32_t channels, height, width;
    int32_t channel_stride, row_stride, origin;
    int64_t block_stride;
} lcp_volume;

// A convolution's forward pass, or the gradient of its input, as a sum over taps: destination[d][y][x] = Σ weight[d][tap] ·
// source[tap][y][x]. Taps come in rows that share a source row, so that those outside the image are left out.
typedef struct {
    int32_t groups, outputs;                // destination channels of a group
    int32_t rows, row_taps;                 // taps = rows × row_taps
    int32_t out_rows, out_columns;          // destination rows and columns
    int32_t source_height;
    int32_t source_row, source_row_step;    // the source row of tap row 0 for destination row j: source_row + j × source_row_step
    int32_t tap_row_step;                   // from tap row to tap row, above or below 0
    // Where the last taps of a row are those of one channel side by side, from right to left, one column each: how many, and the
    // source column of the first for destination column 0. Those outside the image can be left out. Otherwise column_taps is 1.
    int32_t column_taps, source_column, source_width;
    int32_t source_row_stride, source_group_stride, source_column_step, source_origin;
    int32_t destination_origin, destination_row_stride, destination_column_step, destination_channel_stride;
    int32_t weight_group_stride, weight_output_stride;
    const int32_t *tap_source;              // [taps] from the source row of the tap's own row
    const int32_t *tap_weight;              // [taps] from the destination channel's first weight
} lcp_gather;

// A convolution's gradient by its weights.
typedef struct {
    int32_t groups, outputs, inputs;        // channels of a group
    int32_t kernel_height, kernel_width, stride_down, stride_across, top, left, dilation_down, dilation_across;
    lcp_volume input, output;
} lcp_filter;

// The window of a pooling.
typedef struct {
    int32_t height, width, stride_down, stride_across, top, left, dilation_down, dilation_across;
    int32_t counts_padding;                 // whether a mean counts what is beyond the map
    int32_t is_inside;                      // whether no window has a place beyond the map
} lcp_pool;

typedef struct {
    // What the kernels were compiled for.
    const char *name;
    // The most destination channels that are computed together; packed weights are grouped so.
    int32_t tile_outputs;
    // The most output channels whose filters' gradients are computed together.
    int32_t filter_outputs;

    void (*gather)(const lcp_gather *g, const float *source, const float *packed, const float *bias, float *destination,
                   int accumulates, int is_relu);
    // The gradient of the weights [outputs first..<first + count][all inputs][row `ky`][all columns] of one group, over all blocks.
    void (*filter_gradient)(const lcp_filter *f, const float *input, const float *output_gradient, int32_t blocks, int32_t group,
                            int32_t first, int32_t count, int32_t ky, float *weight_gradient);
    // out[o] = bias[o] + Σ W[o][i] · in[i] for `outputs` rows of W. A null bias is 0.
    void (*fc_forward)(const float *in, int64_t in_block, const float *weights, int64_t row, const float *bias, float *out,
                       int64_t out_block, int32_t blocks, int32_t inputs, int32_t outputs, int accumulates, int is_relu);
    // in_gradient[i] = Σ W[o][i] · out_gradient[o].
    void (*fc_input_gradient)(const float *out_gradient, int64_t out_block, const float *weights, int64_t row, float *in_gradient,
                              int64_t in_block, int32_t blocks, int32_t inputs, int32_t outputs, int accumulates);
    // W_gradient[o][i] = Σ over all images, from `in` as transposed by `transpose`: [image][inputs rounded up to 16].
    void (*fc_weight_gradient)(const float *transposed, const float *out_gradient, int64_t out_block, int32_t blocks,
                               int32_t inputs, int32_t first, int32_t count, float *gradient, int64_t row);
    void (*transpose)(const float *in, int64_t in_block, int32_t blocks, int32_t inputs, float *transposed);
    // bias_gradient[c] = Σ over all images and positions.
    void (*bias_gradient)(const lcp_volume *v, const float *gradient, int32_t blocks, int32_t first, int32_t count, float *result);

    // One block each.
    void (*max_pool)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, int8_t *winner,
                     const lcp_pool *pool);
    // `values` and `out` are what the pool made: `is_relu` also takes the gradient through a ReLU in front of it.
    void (*max_pool_gradient)(const lcp_volume *from, const lcp_volume *to, const lcp_volume *values, float *in_gradient,
                              const float *out_gradient, const float *out, const int8_t *winner, const lcp_pool *pool,
                              int accumulates, int is_relu);
    void (*average_pool)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, const lcp_pool *pool);
    void (*average_pool_gradient)(const lcp_volume *from, const lcp_volume *to, float *in_gradient, const float *out_gradient,
                                  const lcp_pool *pool);
    void (*global_average)(const lcp_volume *from, const float *in, float *out, int64_t out_channel);
    void (*global_average_gradient)(const lcp_volume *from, float *in_gradient, const float *out_gradient, int64_t out_channel);
    // min(max(0, x), limit) in place, and its gradient in place from what came out.
    void (*clamp)(const lcp_volume *v, float *values, float limit);
    void (*clamp_gradient)(const lcp_volume *v, const lcp_volume *gv, const float *values, float *gradient, float limit);
    // to = from, or to += from.
    void (*copy)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, int32_t channels, int accumulates);
    // out = in · factors[image], or out += that.
    void (*scale_images)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, const float *factors,
                         int accumulates);
    // Kept numbers are multiplied by 1 / (1 − rate); which are kept follows from seed and position.
    void (*dropout)(const lcp_volume *v, float *values, uint32_t seed, float rate);
    // scale = k + α / size · Σ x²; out = x · scale^−β. The gradient overwrites the scale.
    void (*lrn)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, float *scale, int32_t size, float alpha,
                float beta, float k);
    void (*lrn_gradient)(const lcp_volume *from, const lcp_volume *to, const lcp_volume *from_gradient,
                         const lcp_volume *to_gradient, const float *in, const float *out, float *scale, float *in_gradient,
                         const float *out_gradient, int32_t size, float alpha, float beta, int accumulates);
    // Σ x and Σ (x − shift)² of each channel over the first `lanes` images of a block, added to sums [channels][2].
    void (*moments)(const lcp_volume *v, const float *in, int32_t lanes, const float *shift, double *sums);
    // out = in · factor[c] + offset[c].
    void (*affine)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, const float *factor,
                   const float *offset);
    // Σ dy and Σ dy · (x − mean[c]) of each channel, added to sums [channels][2].
    void (*norm_sums)(const lcp_volume *from, const lcp_volume *gradient, const float *in, const float *out_gradient,
                      const float *mean, double *sums);
    // dx = a[c] · dy + b[c] · x + c[c] for the first `lanes` images.
    void (*norm_gradient)(const lcp_volume *from, const lcp_volume *to_gradient, const lcp_volume *from_gradient, const float *in,
                          const float *out_gradient, float *in_gradient, const float *a, const float *b, const float *c,
                          int32_t lanes, int accumulates);
    void (*softmax)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out);
    void (*softmax_gradient)(const lcp_volume *to, const lcp_volume *to_gradient, const lcp_volume *from_gradient,
                             const float *out, const float *out_gradient, float *in_gradient);

    // Optimizers over count parameters.
    void (*sgd)(float *parameters, const float *gradients, float *momentum, int64_t count, float rate, float momentum_factor,
                float weight_decay, int nesterov);
    // `coupled`: L2 in the gradient (Adam), otherwise decoupled (AdamW). The corrections are 1 − βᵗ.
    void (*adam)(float *parameters, const float *gradients, float *momentum, float *variance, int64_t count, float rate,
                 float beta1, float beta2, float epsilon, float correction1, float correction2, float weight_decay, int coupled);
    void (*average)(float *average, const float *parameters, int64_t count, float decay);

    // Rows `first` and on of matrices in rows that begin on 64 bytes; columns are a multiple of 16, or lie beside zeros. Every
    // element is the same whichever rows a call has.
    // C = scale · A B + own · D; D lies as C, and null is 0.
    void (*product)(const float *a, int64_t a_row, const float *b, int64_t b_row, const float *d, float *c, int64_t c_row,
                    int32_t first, int32_t count, int32_t columns, int32_t depth, float scale, float own);
    // G = X Xᵀ.
    void (*gram)(const float *x, int64_t x_row, int32_t rows, int32_t columns, float *g, int64_t g_row, int32_t first,
                 int32_t count);
    // out = function(in).
    void (*activate)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, enum lcp_activation function,
                     float first, float second);
    // in_gradient = out_gradient · the function's slope at in, or in_gradient += that.
    void (*activation_gradient)(const lcp_volume *from, const lcp_volume *gradient, const lcp_volume *to, const float *in,
                                const float *out_gradient, float *in_gradient, enum lcp_activation function, float first,
                                float second, int accumulates);
    // out = in from 0 up, and in · slopes[channel] below.
    void (*prelu)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, const float *slopes);
    void (*prelu_gradient)(const lcp_volume *from, const lcp_volume *gradient, const lcp_volume *to, const float *in,
                           const float *out_gradient, float *in_gradient, const float *slopes, int accumulates);
    // The gradient of a channel's slope, over all images.
    float (*prelu_slope_gradient)(const lcp_volume *from, const lcp_volume *gradient, const float *in, const float *out_gradient,
                                  int32_t blocks, int32_t channel);
    // out = in · factors, or out += that; factors may be one for each channel.
    void (*multiply)(const lcp_volume *from, const lcp_volume *factor, const lcp_volume *to, const float *in, const float *factors,
                     float *out, int accumulates);
    // out = Σ in · out_gradient over the pixels of each channel, or out += that.
    void (*multiply_sum)(const lcp_volume *from, const lcp_volume *gradient, const lcp_volume *to, const float *in,
                         const float *out_gradient, float *out, int accumulates);
    // (in − mean) / √(variance + ε) · weights + biases, mean and variance over the channels of a pixel.
    void (*normalize_channels)(const lcp_volume *from, const lcp_volume *to, const float *in, float *out, const float *weights,
                               const float *biases, float epsilon);
    void (*normalize_channels_gradient)(const lcp_volume *from, const lcp_volume *gradient, const lcp_volume *to, const float *in,
                                        const float *out_gradient, float *in_gradient, const float *weights, float epsilon,
                                        int accumulates);
    // The gradients of weights and biases over all images; `sums` has room for 2 · 16 numbers of every channel, all 0.
    void (*normalize_channels_sums)(const lcp_volume *from, const lcp_volume *gradient, const float *in, const float *out_gradient,
                                    int32_t blocks, float epsilon, float *sums, float *weight_gradient, float *bias_gradient);
} lcp_kernels;

// The fastest kernels that this processor runs. The environment variable LCP_KERNELS may name others of those compiled in:
// "avx512", "avx2", "portable".
const lcp_kernels *lcp_kernels_best(void);
// The kernels of that name, or null where they are not compiled in or this processor does not run them.
const lcp_kernels *lcp_kernels_named(const char *name);

// Weights as `gather` wants them: for each group, for each tile of destination channels, [tap][channel of the tile].
void lcp_gather_pack(const lcp_gather *g, int32_t tile_outputs, const float *weights, float *packed);

// Threads that work on one thing together. `work` is called on every thread with its number, from 0; `run` returns when all have.
typedef struct lcp_team lcp_team;
lcp_team *lcp_team_create(int32_t threads);
void lcp_team_run(lcp_team *team, void (*work)(void *context, int32_t thread), void *context);
// Waits inside `work` until all threads are here.
void lcp_team_barrier(lcp_team *team);
void lcp_team_destroy(lcp_team *team);

#endif
