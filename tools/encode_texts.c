/* encode_texts TOKENIZER: for tools/compare_tokenizers.py. Reads texts from standard input, each after its
 * length in bytes (32 bits, little endian), and writes for each the number of ids and the ids (32 bits each),
 * or UINT32_MAX when it is refused, with the reason on standard error. In the end it says there how many
 * seconds the encoding took. */
#include "base/file.h"
#include "data/tokenizer.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool read_text(struct builder *text)
{
    uint32_t length;
    if (fread(&length, sizeof length, 1, stdin) != 1)
        return false;
    char *bytes = malloc((size_t)length + 1);
    if (!bytes || fread(bytes, 1, length, stdin) != length)
        BUG("a text of %u bytes is cut off", length);
    builder_clear(text);
    builder_add(text, bytes, length);
    free(bytes);
    return true;
}

static void write_ids(uint32_t count, const struct token_list *ids)
{
    bool is_written = fwrite(&count, sizeof count, 1, stdout) == 1;
    if (is_written && ids && ids->count)
        is_written = fwrite(ids->items, sizeof *ids->items, ids->count, stdout) == ids->count;
    if (!is_written)
        BUG("cannot write");
}

static void encode_all(struct tokenizer *tokenizer)
{
    struct builder text = {0};
    struct token_list ids = {0};
    double seconds = 0;
    while (read_text(&text)) {
        struct trace trace = {0};
        ids.count = 0;
        double start = now();
        enum status status =
            tokenizer_encode(tokenizer, (struct str){builder_text(&text), text.length}, &ids, &trace);
        seconds += now() - start;
        if (status == OK) {
            write_ids((uint32_t)ids.count, &ids);
        } else {
            fprintf(stderr, "%s\n", trace.text);
            write_ids(UINT32_MAX, NULL);
        }
    }
    fprintf(stderr, "seconds %.6f\n", seconds);
    token_list_release(&ids);
    builder_release(&text);
}

int main(int argc, char **argv)
{
    struct trace trace = {0};
    struct tokenizer *tokenizer;
    if (argc != 2) {
        fprintf(stderr, "usage: encode_texts TOKENIZER <TEXTS >IDS\n");
        return status_exit_code(INVALID);
    }
    enum status status = tokenizer_open(&tokenizer, argv[1], &trace);
    if (status != OK) {
        fprintf(stderr, "%s\n", trace.text);
        return status_exit_code(status);
    }
    encode_all(tokenizer);
    tokenizer_close(tokenizer);
    return 0;
}
