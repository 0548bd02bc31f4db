/* A temporary directory with a pipeline in it, small enough to be run many times. */
#ifndef TESTS_CLI_FIXTURE_H
#define TESTS_CLI_FIXTURE_H

#include "tests/cli/program.h"

struct fixture {
    char *directory;
    char text[4096]; /* absolute path of a training text */
    char yaml[4200]; /* DIRECTORY/p.yaml */
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* Stages init, train, score, prune, evaluate, named by their kinds. `train` holds more settings of train, and
 * `tail` more stages. */
void fixture_write(const struct fixture *f, const char *train, const char *tail);
void fixture_write_file(const struct fixture *f, const char *name, const char *text);

/* Runs `run --json` with more options on the fixture's pipeline and store; it must succeed. Release. */
json_t *fixture_run(const struct fixture *f, const char *options);

/* Six shapes of golden/tiny's model; `rank` is more of the part `search`. */
void fixture_write_search(const struct fixture *f, const char *rank, const char *stages);
#define FIXTURE_SEARCH_STAGES                                                                 \
    "  - import: {model: teacher}\n"                                                          \
    "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"                             \
    "  - prune\n"                                                                             \
    "  - distill: {teacher: import, data: text, steps: 12, batch: 4, micro: 4, length: 48}\n" \
    "  - evaluate: {data: text, length: 48}\n"

/* Runs `search --json` on the fixture's file with the store DIRECTORY/`store`; it must succeed. Release. */
json_t *fixture_search(const struct fixture *f, const char *store);

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
