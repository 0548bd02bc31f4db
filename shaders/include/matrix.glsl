/* What kernels with cooperative matrices share: the device's shape as constants, and operands of 16 bits (BF16 defined:
 * bfloat16, else half precision) that are kept in shared memory in pairs, a word each. */
#ifndef SHADERS_MATRIX_GLSL
#define SHADERS_MATRIX_GLSL

#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_cooperative_matrix : require
#ifdef BF16
#extension GL_EXT_bfloat16 : require
#define NARROW bfloat16_t
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define NARROW float16_t
#endif

layout(local_size_x_id = MATRIX_LANES) in;
layout(constant_id = MATRIX_ROWS) const uint ROWS = 16u; /* of the device's matrices */
layout(constant_id = MATRIX_COLUMNS) const uint COLUMNS = 16u;
layout(constant_id = MATRIX_DEPTH) const uint DEPTH = 16u;
layout(constant_id = MATRIX_LANES) const uint LANES = 128u;
const uint OUTPUTS = ROWS * COLUMNS;
const uint PAD = 4u; /* words after a line: they keep banks apart, and lines aligned to 16 bytes */

#define SUMS coopmat<float, gl_ScopeSubgroup, ROWS, COLUMNS, gl_MatrixUseAccumulator>
#define LEFT coopmat<NARROW, gl_ScopeSubgroup, ROWS, DEPTH, gl_MatrixUseA>
#define RIGHT coopmat<NARROW, gl_ScopeSubgroup, DEPTH, COLUMNS, gl_MatrixUseB>

uint narrow_pair(float first, float second)
{
#ifdef BF16
    return gm_float_to_bf16(first) | gm_float_to_bf16(second) << 16u;
#else
    return packHalf2x16(vec2(first, second));
#endif
}

#endif
