/* Fuzzing the import of GGUF files: the entry that libFuzzer calls. */
#ifndef FUZZ_GGUF_H
#define FUZZ_GGUF_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
