/* Ids of the specialization constants of kernels that come in several sizes, for GLSL and C: the one place
 * where they are numbered. What each means is said where a kernel declares it. */
#ifndef SHADERS_CONSTANTS_H
#define SHADERS_CONSTANTS_H

/* All products: what is added to them, as numbers that enum tail (ir/schedule.h) has too. */
#define PRODUCT_TAIL 8
#define PRODUCT_BIAS 1u
#define PRODUCT_ADDEND 2u

/* Norms and their gradients: do groups have eight rows, lanes four elements; is something added? */
#define NORM_QUADS 0
#define NORM_ADDEND 1

/* matmul_tile and matmul_packed */
#define TILE_DOWN 0
#define TILE_ACROSS 1

/* matmul_wide */
#define WIDE_TALL 0
#define WIDE_QUADS 1
#define WIDE_UNROLLED 2
#define WIDE_X_ALONG_K 3
#define WIDE_W_ALONG_K 4

/* attention_panel_*: the first two are those of matmul_wide */
#define PANEL_TALL 0
#define PANEL_QUADS 1
#define PANEL_FOUR 2

/* attention_lane* */
#define LANE_FOUR 0
#define LANE_KEY_QUADS 1
#define LANE_VALUE_QUADS 2
#define LANE_ROWS 3
#define LANE_BENT 4

/* matmul_matrix_*: the first four are a variant's, the others the device's */
#define MATRIX_DOWN 0
#define MATRIX_ACROSS 1
#define MATRIX_SUBGROUPS_DOWN 2
#define MATRIX_SUBGROUPS_ACROSS 3
#define MATRIX_ROWS 4
#define MATRIX_COLUMNS 5
#define MATRIX_DEPTH 6
#define MATRIX_LANES 7

/* attention_matrix_*: with the last four of matmul_matrix_* */
#define ATTENTION_OUT 0
#define ATTENTION_SUBGROUPS 1

#endif
