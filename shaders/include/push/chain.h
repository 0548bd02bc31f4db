/* Chains of element-wise ops: four neighbouring elements a lane. */
#ifndef SHADERS_PUSH_CHAIN_H
#define SHADERS_PUSH_CHAIN_H

#include "shaders/include/push/push.h"

/* The ops by which constants of shaders/chain.comp name what a step does; 0 is no step. Of those from
 * CHAIN_CURVED on a chain has at most one: what code there is makes drivers compile for long, whether
 * constants need it or not. */
#define CHAIN_add 1
#define CHAIN_mul 2
#define CHAIN_scale 3
#define CHAIN_CURVED 4
#define CHAIN_silu 4
#define CHAIN_silu_grad 5
#define CHAIN_gelu 6
#define CHAIN_gelu_grad 7
#define CHAIN_gelu_tanh 8
#define CHAIN_gelu_tanh_grad 9
#define CHAIN_tanh 10
#define CHAIN_tanh_grad 11
#define CHAIN_relu 12
#define CHAIN_relu_grad 13

/* Registers: what is loaded, then what the steps make. Step CHAIN_CURVE may be curved; three are before it,
 * three behind it, and what is not needed of them is no step. */
#define CHAIN_INPUTS 5
#define CHAIN_STEPS 7
#define CHAIN_CURVE 3
#define CHAIN_RESULTS 3

/* How an input is loaded, 2 bits of a constant each; its highest bit: everything starts and repeats at
 * multiples of four elements. */
#define CHAIN_LOAD_EACH 1
#define CHAIN_LOAD_REPEATED 2

PUSH_BLOCK(push_chain)
{
    PUSH_HEAD
    uint count;                                       /* elements */
    uint period0, period1, period2, period3, period4; /* elements of inputs that are repeated */
    float factor0, factor1, factor2, factor3, factor4, factor5, factor6; /* of steps that are CHAIN_scale */
};
PUSH_CHECK(push_chain, 24)

#endif
