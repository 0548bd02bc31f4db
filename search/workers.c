/* fork(), a pipe each, and signals. */
#include "search/workers.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char end_line[] = ".\n"; /* behind the last candidate: the list is whole */

/* A group of its own, as a terminal's Ctrl-C is this process's to pass on: two signals end a process at once.
 */
static void become_worker(struct workers *w, uint32_t number, int pipe, pid_t parent)
{
    for (uint32_t i = 0; i < w->count; i++)
        close(w->items[i].pipe); /* else those before would not see them closed */
    *w = (struct workers){.number = number, .pipe = pipe};
    (void)setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        raise(SIGTERM);
    log_set_level(LOG_QUIET);
}

enum status workers_start(struct workers *out, uint32_t count, struct trace *trace)
{
    pid_t self = getpid();
    *out = (struct workers){.pipe = -1};
    for (uint32_t i = 0; i < count; i++) {
        int ends[2] = {-1, -1};
        pid_t process = pipe(ends) == 0 ? fork() : -1;
        if (process < 0) {
            enum status status =
                status_fail(trace, IO, "a process for device %u cannot be made: %s", i + 2, strerror(errno));
            if (ends[0] >= 0)
                close(ends[0]), close(ends[1]);
            workers_finish(out, status, NULL);
            return status;
        }
        if (process == 0) {
            close(ends[1]);
            become_worker(out, i + 1, ends[0], self);
            return OK;
        }
        close(ends[0]);
        out->items[out->count++] = (struct worker){process, ends[1]};
    }
    return OK;
}

/* A worker that has gone is found when it is waited for. */
static void tell(struct worker *worker, const struct builder *text)
{
    for (size_t done = 0; done < text->length;) {
        ssize_t n = write(worker->pipe, text->data + done, text->length - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

void workers_begin(struct workers *w, const struct search *search)
{
    struct builder text = {0};
    for (uint32_t i = 0; i < search->candidates.items.count; i++)
        builder_printf(&text, "%s\n", search->candidates.items.items[i].label);
    builder_add_text(&text, end_line);
    for (uint32_t i = 0; i < w->count; i++)
        tell(&w->items[i], &text);
    builder_release(&text);
}

/* Is it a line of the list? */
static bool is_listed(const struct builder *list, const char *label)
{
    size_t length = strlen(label);
    for (const char *at = builder_text(list); at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, label, length) == 0 && at[length] == '\n')
            return true;
    return false;
}

bool workers_wait(struct workers *w, struct search *search)
{
    struct builder list = {0};
    struct candidates *all = &search->candidates;
    char bytes[4096];
    ssize_t n;
    while (!str_ends_with((struct str){builder_text(&list), list.length}, end_line)) {
        n = read(w->pipe, bytes, sizeof bytes);
        if (n > 0)
            builder_add(&list, bytes, (size_t)n);
        else if (n == 0 || errno != EINTR)
            break;
    }
    bool is_whole = str_ends_with((struct str){builder_text(&list), list.length}, end_line);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < all->items.count && is_whole; i++)
        if (is_listed(&list, all->items.items[i].label))
            all->items.items[kept++] = all->items.items[i];
    if (is_whole)
        all->items.count = kept;
    close(w->pipe);
    builder_release(&list);
    return is_whole;
}

void workers_finish(struct workers *w, enum status status, const char *const *names)
{
    for (uint32_t i = 0; i < w->count; i++) {
        close(w->items[i].pipe);
        if (status != OK)
            kill(w->items[i].process, WORKERS_STOP);
    }
    for (uint32_t i = 0; i < w->count; i++) {
        int how = 0;
        while (waitpid(w->items[i].process, &how, 0) < 0 && errno == EINTR)
            ;
        int code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
        if (status == OK && code != 0)
            log_warn("the process for %s ended with exit status %d; the others did its part", names[i + 1],
                     code);
    }
    w->count = 0;
}
