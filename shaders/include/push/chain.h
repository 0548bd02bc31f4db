/* Chains of element-wise ops: four neighbouring elements a lane. */
#ifndef SHADERS_PUSH_CHAIN_H
#define SHADERS_PUSH_CHAIN_H

#include "shaders/include/push/push.h"

/* The ops by which constants of shaders/chain.comp name what a step does; 0 is no step. */
#define CHAIN_add 1
#define CHAIN_mul 2
#define CHAIN_scale 3
#define CHAIN_silu 4
#define CHAIN_silu_grad 5
#define CHAIN_relu 6
#define CHAIN_relu_grad 7
#define CHAIN_gelu 8
#define CHAIN_gelu_grad 9
#define CHAIN_gelu_tanh 10
#define CHAIN_gelu_tanh_grad 11
#define CHAIN_tanh 12
#define CHAIN_tanh_grad 13

/* Registers: what is loaded, then what the steps make. */
#define CHAIN_INPUTS 6
#define CHAIN_STEPS 6
#define CHAIN_RESULTS 3

/* How an input is loaded, 2 bits of constant CHAIN_STEPS each; its highest bit: everything starts and repeats at
 * multiples of four elements. */
#define CHAIN_LOAD_EACH 1
#define CHAIN_LOAD_REPEATED 2

PUSH_BLOCK(push_chain)
{
    PUSH_HEAD
    uint count;                                               /* elements */
    uint period0, period1, period2, period3, period4, period5; /* elements of inputs that are repeated */
    float factor0, factor1, factor2, factor3, factor4, factor5; /* of steps that are CHAIN_scale */
};
PUSH_CHECK(push_chain, 24)

#endif
