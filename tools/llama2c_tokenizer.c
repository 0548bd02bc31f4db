/* llama2c_tokenizer TOKENIZER.bin OUT.json: llama2.c's tokenizer file as a Hugging Face tokenizer.json. */
#include "base/file.h"
#include "data/llama2c.h"
#include "data/tokenizer.h"
#include <stdio.h>

static enum status convert(const char *from, const char *to, struct trace *trace)
{
    struct builder file = {0}, json = {0};
    enum status status = file_read(&file, from, TOKENIZER_FILE_LIMIT, trace);
    if (status == OK)
        status = llama2c_convert(&json, (struct str){builder_text(&file), file.length}, trace);
    if (status != OK)
        trace_add(trace, "while converting %s", from);
    else
        status = file_write(to, json.data, json.length, trace);
    builder_release(&file);
    builder_release(&json);
    return status;
}

int main(int argc, char **argv)
{
    struct trace trace = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: llama2c_tokenizer TOKENIZER.bin OUT.json\n");
        return status_exit_code(INVALID);
    }
    enum status status = convert(argv[1], argv[2], &trace);
    if (status != OK)
        fprintf(stderr, "%s\n", trace.text);
    return status_exit_code(status);
}
