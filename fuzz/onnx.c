/* Imports arbitrary bytes as a model. Whatever they are, the importer returns, says why when it fails, and
 * what it accepts passes the verifier. Built with clang -fsanitize=fuzzer,address,undefined, or linked to a
 * test. */
#include "frontend/frontend.h"
#include "fuzz/fuzz.h"
#include "ir/text.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imported_model model;
    struct trace trace = {0};
    char path[64];
    int fd = memfd_create("model", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        enum status status = frontend_import_onnx(&model, path, NULL, &trace);
        if (status == OK && graph_verify(model.graph, &trace) != OK)
            BUG("an imported graph is not well-formed: %s", trace.text);
        if (status != OK && (trace.length == 0 || status == BROKEN))
            BUG("an import failed without a reason");
        imported_model_release(&model);
    }
    close(fd);
    return 0;
}
