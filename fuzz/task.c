/* Reads arbitrary bytes as the items of a task: the first byte says of which. What is read has items whose
 * gold choice is one of theirs. */
#include "data/task.h"
#include "fuzz/fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check(const struct task *task)
{
    for (uint32_t i = 0; i < task->items.count; i++) {
        const struct task_item *item = &task->items.items[i];
        if (item->gold >= item->count || item->first + item->count > task->choices.count)
            BUG("item %u has gold %u of %u choices", i, item->gold, item->count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum task_kind kind = data[0] % TASK_KIND_COUNT;
    char path[] = "/tmp/espalier-fuzz-XXXXXX.csv";
    int suffix = kind == TASK_mmlu ? 4 : 0;
    if (!suffix)
        path[sizeof path - 5] = '\0';
    int fd = mkstemps(path, suffix);
    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1)
        BUG("cannot write %s", path);
    close(fd);
    struct task task;
    struct trace trace = {0};
    struct task_options options = {0};
    enum status status = task_open(&task, kind, path, &options, &trace);
    if (status != OK && trace.length == 0)
        BUG("a task was refused without a reason");
    if (status == OK) {
        check(&task);
        task_release(&task);
    }
    unlink(path);
    return 0;
}
