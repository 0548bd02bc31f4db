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

/* Runs `search --json` on the fixture's file with the store DIRECTORY/`store`; it must succeed. Release. */
json_t *fixture_search(const struct fixture *f, const char *store);

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
