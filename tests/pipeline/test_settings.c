/* pipeline/settings.c: values, defaults and the canonical text that keys hash. */
#include "pipeline/settings.h"
#include "tests/pipeline/fixture.h"

static enum status read_text(struct fixture *f, const char *kind, const char *text)
{
    struct yaml_value *root = NULL;
    assert_ok(yaml_read(&root, &f->arena, str_from(text), "x.yaml", &f->trace), &f->trace);
    return settings_read(&f->settings, &f->arena, kind, root, NULL, "x.yaml", &f->trace);
}

/* The canonical text of what `text` says; on the arena. */
static const char *print(struct fixture *f, const char *kind, const char *text)
{
    assert_ok(read_text(f, kind, text), &f->trace);
    struct builder out = {0};
    settings_print(&f->settings, &out);
    const char *copy = arena_copy_string(&f->arena, builder_text(&out), out.length);
    builder_release(&out);
    return copy;
}

static void writes_out_every_default(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        print(f, "train", "{data: a, steps: 7}"),
        "loss.ce=1\nsteps=7\nstop=0\nbatch=16\nmicro=8\nlanes=1\nlength=256\noptimizer=adamw\n"
        "optimizer.lr=0.001\noptimizer.beta1=0.90000000000000002\n"
        "optimizer.beta2=0.94999999999999996\noptimizer.epsilon=1e-08\n"
        "optimizer.decay=0.10000000000000001\noptimizer.decays=matrices\noptimizer.clip=1\n"
        "optimizer.loss_scale=65536\noptimizer.loss_scale_steps=2000\n"
        "schedule=cosine\nschedule.warmup=0\nschedule.floor=0.10000000000000001\n"
        "schedule.decay=0.20000000000000001\nseed=\n");
}

static void spelling_a_default_out_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const char *plain = print(f, "train", "{data: a, steps: 7}");
    assert_string_equal(plain, print(f, "train",
                                     "{steps: 7, optimizer: adamw, schedule: {cosine: {floor: 1.0e-1}}, "
                                     "length: 256, data: b}"));
    assert_string_equal(plain, print(f, "train", "{steps: 7, data: a, optimizer: {adamw: {lr: 0.0010}}}"));
}

static void free_settings_are_in_no_key(void **state)
{
    struct fixture *f = *state;
    const char *plain = print(f, "train", "{data: a, steps: 7}");
    assert_string_equal(print(f, "train", "{data: a, steps: 7, checkpoint: 3}"), plain);
    assert_int_equal(settings_integer(&f->settings, "checkpoint"), 3);
}

static void a_choice_is_a_word_or_a_map(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "train", "{data: a, steps: 7, schedule: linear}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "schedule"), "linear");
    assert_ok(read_text(f, "train", "{data: a, steps: 7, schedule: {constant: {warmup: 2}}}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "schedule"), "constant");
    assert_int_equal(settings_integer(&f->settings, "schedule.warmup"), 2);
}

static void a_list_may_be_one_number(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "prune", "{ffn: 40, heads: [4, 2, 4]}"), &f->trace);
    const struct setting *ffn = settings_get(&f->settings, "ffn");
    const struct setting *heads = settings_get(&f->settings, "heads");
    assert_int_equal(ffn->list_count, 1);
    assert_int_equal(ffn->list[0], 40);
    assert_int_equal(heads->list_count, 3);
    assert_int_equal(heads->list[1], 2);
    assert_true(str_is(heads->text, "4,2,4"));
    assert_false(settings_has(&f->settings, "kv_heads"));
}

static void takes_the_ends_of_a_range_and_nothing_beyond(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "evaluate", "{data: a, length: 2}"), &f->trace);
    assert_ok(read_text(f, "evaluate", "{data: a, length: 1048576}"), &f->trace);
    assert_fails(read_text(f, "evaluate", "{data: a, length: 1}"), INVALID, &f->trace, "from 2 to");
    assert_fails(read_text(f, "evaluate", "{data: a, length: 1048577}"), INVALID, &f->trace, "1048577");
    assert_fails(read_text(f, "evaluate", "{data: a, length: 99999999999999999999}"), INVALID, &f->trace,
                 "length");
    assert_fails(read_text(f, "evaluate", "{data: a, length: 0x10}"), INVALID, &f->trace, "0x10");
    assert_fails(read_text(f, "evaluate", "{data: a, length: }"), INVALID, &f->trace, "length");
}

static void numbers_are_finite(void **state)
{
    struct fixture *f = *state;
    const char *const bad[] = {".nan", "nan", "inf", "-.inf", "1e999", "1,5", "1e", "0x1p3", "true"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[80];
        snprintf(text, sizeof text, "{data: a, loss: {ce: \"%s\"}, steps: 1}", bad[i]);
        assert_fails(read_text(f, "train", text), INVALID, &f->trace, "loss.ce");
        snprintf(text, sizeof text, "data: a\nloss:\n  ce: %s\nsteps: 1\n", bad[i]);
        assert_fails(read_text(f, "train", text), INVALID, &f->trace, "x.yaml:3:7");
    }
}

static void rejects_nul_bytes_in_names(void **state)
{
    struct fixture *f = *state;
    assert_fails(read_text(f, "train", "{data: \"a\\0b\", steps: 1}"), INVALID, &f->trace, "NUL");
}

static void keys_longer_than_any_setting_are_unknown(void **state)
{
    struct fixture *f = *state;
    char text[400] = "{";
    memset(text + 1, 'k', 200);
    strcpy(text + 201, ": 1}");
    assert_fails(read_text(f, "prune", text), INVALID, &f->trace, "prune has no setting");
}

static void setting_a_value_prints_like_reading_it(void **state)
{
    struct fixture *f = *state;
    const char *given = print(f, "train", "{data: a, steps: 7, seed: 12}");
    assert_ok(read_text(f, "train", "{data: a, steps: 7}"), &f->trace);
    settings_set_integer(&f->settings, &f->arena, "seed", 12);
    struct builder out = {0};
    settings_print(&f->settings, &out);
    assert_string_equal(builder_text(&out), given);
    builder_release(&out);
}

static void failures_point_at_the_setting_or_the_stage(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "prune", "hidden: 8\nlayers: 2\n"), &f->trace);
    assert_fails(settings_fail(&f->settings, "layers", &f->trace, "bad %d", 2), INVALID, &f->trace,
                 "x.yaml:2:9: layers: bad 2");
    assert_fails(settings_fail(&f->settings, "ffn", &f->trace, "bad"), INVALID, &f->trace,
                 "x.yaml:1:1: ffn: bad");
}

static const char *joined_words(struct fixture *f, const char *key)
{
    struct str rest = {0}, word;
    const char *text = "";
    while (settings_next_word(&f->settings, key, &rest, &word))
        text = arena_printf(&f->arena, "%s<" STR_FORMAT ">", text, STR_ARGUMENT(word));
    return text;
}

static void a_profile_sets_what_is_not_given(void **state)
{
    struct fixture *f = *state;
    assert_ok(read_text(f, "score", "{data: a}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "neurons"), "after");
    assert_string_equal(joined_words(f, "sites"), "<attention><mlp>");
    assert_ok(read_text(f, "score", "{data: a, profile: minitron-paper, depth: logit-error}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "neurons"), "before");
    assert_string_equal(settings_text(&f->settings, "heads"), "norm-first");
    assert_string_equal(joined_words(f, "sites"), "<attention><mlp><final>");
    assert_string_equal(joined_words(f, "depth"), "<logit-error>");
    assert_ok(read_text(f, "score", "{data: a, profile: minitron-modelopt}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "neurons"), "after");
    assert_string_equal(settings_text(&f->settings, "heads"), "norm-last");
    assert_string_equal(joined_words(f, "depth"), "<block-importance>");
    assert_string_equal(joined_words(f, "sites"), "<attention><mlp>");
    assert_ok(read_text(f, "score", "{data: a, sites: [final, mlp]}"), &f->trace);
    assert_string_equal(joined_words(f, "sites"), "<final><mlp>");
}

/* What the paper prints (sections 2.2 to 2.4 and table 11) and what NVIDIA's code does. */
static void profiles_are_paper_and_code(void **state)
{
    struct fixture *f = *state;
    static const char *const profiles[] = {"minitron-paper", "minitron-modelopt"};
    for (int p = 0; p < 2; p++) {
        const char *text = arena_printf(&f->arena, "{data: a, profile: %s}", profiles[p]);
        assert_ok(read_text(f, "score", text), &f->trace);
        assert_string_equal(joined_words(f, "metric"), "<activation>");
        assert_string_equal(joined_words(f, "aggregate.batch"), "<l2>");
        assert_string_equal(joined_words(f, "aggregate.sequence"), "<mean>");
        assert_string_equal(joined_words(f, "depth"),
                            p ? "<block-importance>" : "<perplexity><block-importance>");
        text = arena_printf(&f->arena, "{heads: 4, profile: %s}", profiles[p]);
        assert_ok(read_text(f, "prune", text), &f->trace);
        assert_string_equal(settings_text(&f->settings, "rank_heads"), p ? "group" : "global");
        assert_string_equal(settings_text(&f->settings, "residual"), p ? "none" : "paper");
        assert_int_equal(settings_integer(&f->settings, "align.hidden"), p ? 256 : 1);
        assert_int_equal(settings_integer(&f->settings, "align.ffn"), p ? 512 : 1);
        assert_int_equal(settings_integer(&f->settings, "rounds_left"), 1);
        assert_int_equal(settings_integer(&f->settings, "align.vocab"), 0);
    }
    assert_ok(read_text(f, "prune", "{heads: 4, profile: minitron-paper}"), &f->trace);
    assert_string_equal(settings_text(&f->settings, "residual_pairs"), "global");
}

/* Of one text and of a list; lists that join to the same text are not the same. */
static void texts_are_a_text_or_a_list(void **state)
{
    struct fixture *f = *state;
    const char *one = print(f, "generate", "{prompt: 'a, 1:b'}");
    struct str rest = {0}, text;
    assert_true(settings_next_text(&f->settings, "prompt", &rest, &text));
    assert_true(str_is(text, "a, 1:b"));
    assert_false(settings_next_text(&f->settings, "prompt", &rest, &text));
    assert_string_equal(print(f, "generate", "{prompt: ['a, 1:b']}"), one);
    const char *two = print(f, "generate", "{prompt: [a, '1:b ']}");
    assert_true(strcmp(print(f, "generate", "{prompt: [a1, ':b ']}"), two) != 0);
    rest = (struct str){0};
    assert_true(settings_next_text(&f->settings, "prompt", &rest, &text) && str_is(text, "a1"));
    assert_true(settings_next_text(&f->settings, "prompt", &rest, &text) && str_is(text, ":b "));
    assert_false(settings_next_text(&f->settings, "prompt", &rest, &text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(writes_out_every_default),
        FIXTURE_TEST(spelling_a_default_out_changes_nothing),
        FIXTURE_TEST(free_settings_are_in_no_key),
        FIXTURE_TEST(a_choice_is_a_word_or_a_map),
        FIXTURE_TEST(a_list_may_be_one_number),
        FIXTURE_TEST(takes_the_ends_of_a_range_and_nothing_beyond),
        FIXTURE_TEST(numbers_are_finite),
        FIXTURE_TEST(rejects_nul_bytes_in_names),
        FIXTURE_TEST(keys_longer_than_any_setting_are_unknown),
        FIXTURE_TEST(setting_a_value_prints_like_reading_it),
        FIXTURE_TEST(profiles_are_paper_and_code),
        FIXTURE_TEST(texts_are_a_text_or_a_list),
        FIXTURE_TEST(a_profile_sets_what_is_not_given),
        FIXTURE_TEST(failures_point_at_the_setting_or_the_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
