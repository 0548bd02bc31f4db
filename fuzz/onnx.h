/* Fuzzing the importer: the entry that libFuzzer calls, and that the tests replay on a corpus of their own.
 */
#ifndef FUZZ_ONNX_H
#define FUZZ_ONNX_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
