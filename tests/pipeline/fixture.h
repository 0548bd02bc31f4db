/* A temporary directory with a path in it for a pipeline file or a lock, and what the tests of this folder
 * read into; all released at the end. */
#ifndef TESTS_PIPELINE_FIXTURE_H
#define TESTS_PIPELINE_FIXTURE_H

#include "base/arena.h"
#include "pipeline/lock.h"
#include "pipeline/pipeline.h"
#include "tests/support/test.h"

struct fixture {
    char *directory;
    char yaml[4200], lock_file[4200]; /* DIRECTORY/x.yaml, DIRECTORY/x.lock */
    struct arena arena;
    struct trace trace;
    struct pipeline pipeline;
    struct lock lock;
    struct settings settings; /* on the arena, as is the tree */
    struct yaml_value *root;
};

static inline int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->directory = test_directory_create();
    snprintf(f->yaml, sizeof f->yaml, "%s/x.yaml", f->directory);
    snprintf(f->lock_file, sizeof f->lock_file, "%s/x.lock", f->directory);
    *state = f;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    pipeline_release(&f->pipeline);
    lock_release(&f->lock);
    arena_release(&f->arena);
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
