/* Reads arbitrary bytes as a pipeline file: it is accepted, or refused with file, line and column. */
#include "base/file.h"
#include "fuzz/fuzz.h"
#include "pipeline/pipeline.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pipeline pipeline = {0};
    struct trace trace = {0};
    char path[64];
    int fd = memfd_create("pipeline", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        enum status status = pipeline_read(&pipeline, path, &trace);
        if (status != OK && (status != INVALID || strncmp(trace.text, path, strlen(path)) != 0))
            BUG("refused as %s: %s", status_name(status), trace.text);
        if (status == OK && pipeline.stages.count == 0)
            BUG("a pipeline without stages");
        pipeline_release(&pipeline);
    }
    close(fd);
    return 0;
}
