/* A fuzz target: one file that defines the entry that libFuzzer calls with arbitrary bytes. Whatever they
 * are, the target returns; what it finds wrong with espalier is a BUG. tools/fuzz runs one under libFuzzer,
 * fuzz/replay.c on a corpus, and the tests of the importer call theirs. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
