/* Fuzzing the safetensors reader: the entry that libFuzzer calls, and that the tests replay on damaged files.
 */
#ifndef FUZZ_SAFETENSORS_H
#define FUZZ_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
