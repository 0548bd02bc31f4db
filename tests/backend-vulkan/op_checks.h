/* Cases of ops through an executor on a Vulkan device and through the twin: the bytes are the same. */
#ifndef TESTS_BACKEND_VULKAN_OP_CHECKS_H
#define TESTS_BACKEND_VULKAN_OP_CHECKS_H

#include "tests/backend-cpu/cases.h"
#include "tests/backend-vulkan/fixture.h"

enum { OP_CHECKS_LARGE = 1 << 16 }; /* bytes: below the largest operand of each op's cases below */

/* Each op with operands larger than that, in every way that its lowering tells apart. */
extern const struct op_case op_checks_large_cases[];
extern const uint32_t op_checks_large_count;

/* Each case with two kinds of values. */
void op_checks_run(struct executor *vulkan, struct executor *cpu, const struct op_case *cases,
                   uint32_t count);
/* The cases of all ops, in a device opened for it; the large ones where `options` make memory small. */
void op_checks_run_all(enum fixture_driver driver, struct vulkan_options options);
/* The large ones alone, for a driver that is slow to compile. */
void op_checks_run_large(enum fixture_driver driver, struct vulkan_options options);

#endif
