/* replay PLACE...: gives a fuzz target every file below the places, as it is and damaged in fixed ways, so
 * that `ninja test` and `ninja check` replay the corpora without libFuzzer. */
#include "base/file.h"
#include "fuzz/fuzz.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MUTANTS = 64, FILE_LIMIT = 1 << 20 };

static unsigned files;

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Changes a byte, cuts the end off, or copies a stretch to another place. */
static size_t damage(uint8_t *bytes, size_t size, uint64_t *seed)
{
    static const uint8_t interesting[] = "\0\xff\"{}[]:,-%#0 9\n";
    size_t at = next(seed) % size, from = next(seed) % size;
    size_t room = size - (at > from ? at : from), length = next(seed) % 32 + 1;
    switch (next(seed) % 4) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << next(seed) % 8);
        return size;
    case 1:
        bytes[at] = interesting[next(seed) % (sizeof interesting - 1)];
        return size;
    case 2:
        return at + 1;
    default:
        memmove(bytes + at, bytes + from, length < room ? length : room);
        return size;
    }
}

static int replay(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)place;
    struct builder text = {0};
    struct trace trace = {0};
    if (type != FTW_F)
        return 0;
    if (file_read(&text, path, FILE_LIMIT, &trace) != OK) {
        fprintf(stderr, "%s\n", trace.text);
        return 1;
    }
    files++;
    LLVMFuzzerTestOneInput((const uint8_t *)text.data, text.length);
    uint64_t seed = files;
    for (unsigned i = 0; i < MUTANTS && text.length > 0; i++) {
        uint8_t *copy = malloc(text.length); /* of exactly that size, so that reading beyond is seen */
        if (!copy)
            return 1;
        memcpy(copy, text.data, text.length);
        size_t length = damage(copy, text.length, &seed);
        uint8_t *exact = realloc(copy, length);
        LLVMFuzzerTestOneInput(exact ? exact : copy, length);
        free(exact ? exact : copy);
    }
    builder_release(&text);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], replay, 8, FTW_PHYS) != 0) {
            fprintf(stderr, "%s cannot be replayed\n", argv[i]);
            return 1;
        }
    printf("[  PASSED  ] %u test(s).\n", files);
    return files == 0;
}
