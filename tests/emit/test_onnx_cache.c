/* ONNX files with a key-value cache: tokens given one after the other, each time with the keys and values
 * that came out before, make what the transformers library computes of all at once; under padding too. */
#include "emit/emit.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "tests/emit/model.h"
#include "tests/emit/onnx_run.h"
#include "tests/frontend/hf_models.h"
#include "tests/support/evaluate.h"
#include <math.h>

enum { BATCH = 2, PADDING = 2, LENGTH = PADDING + HF_MODEL_TOKENS };

struct subject {
    struct import_fixture folder;
    struct imported_model model;
    const struct hf_model *hf;
    struct trace trace;
};

static void subject_create(struct subject *s, const struct hf_model *hf)
{
    *s = (struct subject){.hf = hf};
    import_fixture_create(&s->folder);
    hf_model_write(&s->folder, hf, 0);
    assert_ok(frontend_import(&s->model, s->folder.directory, NULL, &s->trace), &s->trace);
}

static void subject_named(struct subject *s, const char *name)
{
    const struct hf_model *hf = hf_models;
    while (strcmp(hf->name, name) != 0)
        hf++;
    subject_create(s, hf);
}

static void subject_release(struct subject *s)
{
    imported_model_release(&s->model);
    import_fixture_release(&s->folder);
}

static void write_onnx(struct subject *s, const struct graph *graph, const struct emit_onnx_options *options)
{
    struct emitted emitted = {0};
    assert_ok(emit_onnx_check(graph, options, &s->trace), &s->trace);
    assert_ok(emit_onnx(&emitted, s->folder.path, graph, options, &s->trace), &s->trace);
    emitted_release(&emitted);
}

/* ---- a session: row 0 are other tokens, row 1 the model's behind padding ---- */

static double token_at(int64_t row, int64_t at)
{
    return row == 0 ? (double)(3 * at % HF_MODEL_WORDS) : at < PADDING ? 1 : hf_model_tokens[at - PADDING];
}

struct session {
    struct onnx_run run;
    const struct graph *graph;
    bool is_padded;
    int64_t done;
};

static bool is_shown(const struct session *t, int64_t row, int64_t at)
{
    return row == 0 || at >= PADDING || !t->is_padded;
}

static double position_at(const struct session *t, int64_t row, int64_t at)
{
    return row == 1 && t->is_padded ? fmax(0, (double)(at - PADDING)) : (double)at;
}

static void set_tokens(struct session *t, int64_t count)
{
    const int64_t own[2] = {BATCH, count}, all[2] = {BATCH, t->done + count};
    struct array *tokens = onnx_run_array(&t->run, ONNX_INT64, 2, own);
    struct array *positions = onnx_run_array(&t->run, ONNX_INT64, 2, own);
    struct array *mask = onnx_run_array(&t->run, ONNX_INT64, 2, all);
    for (int64_t i = 0; i < BATCH * count; i++) {
        tokens->data[i] = token_at(i / count, t->done + i % count);
        positions->data[i] = position_at(t, i / count, t->done + i % count);
    }
    for (int64_t i = 0; i < mask->count; i++)
        mask->data[i] = is_shown(t, i / all[1], i % all[1]);
    onnx_run_set(&t->run, "input_ids", tokens);
    if (onnx_run_has_input(&t->run, "attention_mask"))
        onnx_run_set(&t->run, "attention_mask", mask);
    if (onnx_run_has_input(&t->run, "position_ids"))
        onnx_run_set(&t->run, "position_ids", positions);
}

/* The keys or values that came out before, or none. */
static void set_cache(struct session *t, const struct interface *f, struct onnx_run *before)
{
    uint32_t layer = 0;
    for (uint32_t n = 0; n < t->graph->nodes.count; n++) {
        const struct node *node = &t->graph->nodes.items[n];
        if (node->op != OP_attention && node->op != OP_sloped_attention)
            continue;
        for (int kind = 0; kind < CACHE_KINDS; kind++) {
            const char *past = interface_cache_name(&t->run.arena, f->cache[PAST_KEY + kind], layer);
            const char *present = interface_cache_name(&t->run.arena, f->cache[PRESENT_KEY + kind], layer);
            int64_t heads = node_integer(node, ATTRIBUTE_kv_heads), dims[4] = {BATCH};
            const struct value *x = graph_value(t->graph, node->inputs[1 + kind]);
            int64_t channels = dims_size(&t->graph->dims, x->axes[2]) / heads;
            const char *layout = interface_layouts[f->layouts[kind]];
            for (int a = 1; a < 4; a++)
                dims[a] = layout[a] == 'n' ? heads : layout[a] == 's' ? 0 : channels;
            assert_true(onnx_run_has_input(&t->run, past));
            onnx_run_set(&t->run, past,
                         before ? onnx_run_get(before, present)
                                : onnx_run_array(&t->run, ONNX_FLOAT, 4, dims));
        }
        layer++;
    }
    assert_false(onnx_run_has_input(&t->run, interface_cache_name(&t->run.arena, f->cache[0], layer)));
}

/* The logits of the last token of each row, [BATCH * words], after steps of `sizes` tokens. */
static void run_session(struct subject *s, const struct graph *graph, const struct interface *f,
                        bool is_padded, const int64_t *sizes, double *logits)
{
    struct session t = {.graph = graph, .is_padded = is_padded};
    struct onnx_run before;
    onnx_run_open(&t.run, s->folder.path);
    for (int i = 0; t.done < LENGTH; i++) {
        before = t.run; /* shares the arena, which only grows */
        onnx_run_forget(&t.run);
        set_tokens(&t, sizes[i]);
        set_cache(&t, f, i > 0 ? &before : NULL);
        onnx_run_all(&t.run);
        t.done += sizes[i];
        const struct array *out = onnx_run_get(&t.run, "logits");
        assert_int_equal(out->dims[1], sizes[i]);
        for (int64_t row = 0; row < BATCH; row++)
            memcpy(logits + row * out->dims[2], out->data + ((row + 1) * sizes[i] - 1) * out->dims[2],
                   (size_t)out->dims[2] * sizeof *logits);
    }
    onnx_run_close(&t.run);
}

static void expect_close(const char *name, const double *found, const double *expected, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(found[i] - expected[i]) <= 1e-4 * (1 + fabs(expected[i]))))
            fail_msg("%s: logit %d is %g, expected %g", name, (int)i, found[i], expected[i]);
}

static const int64_t at_once[] = {LENGTH}, one_by_one[] = {1, 1, 1, 1, 1, 1, 1}, in_parts[] = {3, 1, 2, 1};
static const int64_t *const cuts[] = {at_once, one_by_one, in_parts};
static const struct emit_onnx_options with_cache[] = {
    {.is_fused = false, .interface = EMIT_INTERFACE_CACHE},
    {.is_fused = true, .interface = EMIT_INTERFACE_CACHE},
};

/* ---- tests ---- */

static void every_architecture_goes_on_from_its_cache(void **state)
{
    (void)state;
    double logits[BATCH * HF_MODEL_WORDS];
    for (size_t i = 0; i < hf_model_count; i++)
        for (int form = 0; form < 2; form++) {
            struct subject s;
            subject_create(&s, &hf_models[i]);
            write_onnx(&s, s.model.graph, &with_cache[form]);
            for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
                run_session(&s, s.model.graph, &interface_usual, true, cuts[c], logits);
                expect_close(s.hf->name, logits + HF_MODEL_WORDS, s.hf->logits, HF_MODEL_WORDS);
            }
            subject_release(&s);
        }
}

/* Without padding both rows are what the graph computes of the whole sequence, in double precision. */
static void expect_the_whole(struct subject *s, const struct graph *graph, const struct interface *f)
{
    const struct value *v = graph_value(graph, graph_find_output(graph, "logits"));
    int64_t words = dims_size(&graph->dims, v->axes[2]);
    int32_t tokens[BATCH * LENGTH];
    double *found = calloc((size_t)(BATCH * words), sizeof *found);
    for (int i = 0; i < BATCH * LENGTH; i++)
        tokens[i] = (int32_t)token_at(i / LENGTH, i % LENGTH);
    double *whole = evaluate(graph, EVALUATE_DOUBLE, BATCH, LENGTH, tokens);
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        run_session(s, graph, f, false, cuts[c], found);
        for (int row = 0; row < BATCH; row++)
            expect_close(s->hf->name, found + row * words, whole + ((row + 1) * LENGTH - 1) * words, words);
    }
    free(found);
    free(whole);
}

static void expect_the_same_again(struct subject *s, const struct graph *graph, const struct interface *f)
{
    struct imported_model again;
    struct builder x = {0}, y = {0};
    struct graph *expected = graph_canonicalise(graph);
    expected->interface = *f;
    assert_ok(frontend_import_onnx(&again, s->folder.path, NULL, &s->trace), &s->trace);
    graph_print(expected, TEXT_CANONICAL, &x);
    graph_print(again.graph, TEXT_CANONICAL, &y);
    assert_string_equal(builder_text(&x), builder_text(&y));
    builder_release(&x);
    builder_release(&y);
    graph_destroy(expected);
    imported_model_release(&again);
}

static void pruned_models_have_smaller_caches_of_layers_counted_anew(void **state)
{
    (void)state;
    static const struct {
        const char *name, *passes;
    } cases[] = {
        {"smollm3", "prune_kv_heads{keep=0} prune_hidden{keep=0+2+3} remove_layers{layers=1}"},
        {"gemma2", "prune_ffn{keep=0-3} remove_layers{layers=0}"},
        {"gpt2", "prune_kv_heads{keep=1} prune_ffn{keep=0-3}"},
        {"bloom", "prune_kv_heads{keep=1} prune_ffn{keep=0-3}"},
        {"phi3", "prune_kv_heads{keep=0} prune_hidden{keep=0+2+3}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int form = 0; form < 2; form++) {
            struct subject s;
            struct pass_context context = {0};
            const struct pass_call *calls;
            uint32_t count;
            struct graph *cut;
            subject_named(&s, cases[i].name);
            s.model.graph->interface = interface_copy(&interface_usual, &s.model.graph->arena);
            assert_ok(pass_parse(&calls, &count, &context.arena, str_from(cases[i].passes), &s.trace),
                      &s.trace);
            assert_ok(pass_run_all(&cut, s.model.graph, calls, count, &context, &s.trace), &s.trace);
            write_onnx(&s, cut,
                       &(struct emit_onnx_options){.is_fused = form == 1}); /* as the source had it */
            expect_the_whole(&s, cut, &interface_usual);
            expect_the_same_again(&s, cut, &interface_usual);
            graph_destroy(cut);
            pass_context_release(&context);
            subject_release(&s);
        }
}

static void names_layouts_and_types_are_the_sources(void **state)
{
    (void)state;
    static const struct interface interfaces[] = {
        {.mask = {{"mask_in", 7}, INTERFACE_INT32, 2},
         .cache = {{"k_cache_%", 9}, {"v_cache_%", 9}, {"new_k_cache_%", 13}, {"new_v_cache_%", 13}},
         .layouts = {LAYOUT_BSNH, LAYOUT_BSNH}},
        {.positions = {{"position_ids", 12}, INTERFACE_INT32, 2},
         .cache = {{"past.%.key", 10}, {"past.%.value", 12}, {"present.%.key", 13}, {"present.%.value", 15}},
         .layouts = {LAYOUT_BNHS, LAYOUT_BNSH}},
        {.cache = {{"past_key_%", 10}, {"past_value_%", 12}, {"present_key_%", 13}, {"present_value_%", 15}}},
    };
    static const char *const names[] = {"llama", "gpt2", "bloom", "gemma2"};
    for (size_t i = 0; i < sizeof interfaces / sizeof *interfaces * 4; i++)
        for (int form = 0; form < 2; form++) {
            const struct interface *f = &interfaces[i / 4];
            struct subject s;
            subject_named(&s, names[i % 4]);
            s.model.graph->interface = interface_copy(f, &s.model.graph->arena);
            write_onnx(&s, s.model.graph, &(struct emit_onnx_options){.is_fused = form == 1});
            expect_the_same_again(&s, s.model.graph, f);
            if (f->mask.name.length == 0) /* the session calls it by its usual name */
                expect_the_whole(&s, s.model.graph, f);
            subject_release(&s);
        }
}

/* What the tokens behind the padding come to when the first of them is at the position PADDING: the logits
 * of the last one. */
static void expect_moved_positions(struct subject *s, const struct graph *graph, const double *logits)
{
    struct graph *moved = graph_clone(graph);
    int32_t tokens[HF_MODEL_TOKENS];
    for (uint32_t n = 0; n < moved->nodes.count; n++)
        for (uint32_t a = 0; a < moved->nodes.items[n].attribute_count; a++)
            if (moved->nodes.items[n].attributes[a].key == ATTRIBUTE_start)
                moved->nodes.items[n].attributes[a].integer += PADDING;
    for (int i = 0; i < HF_MODEL_TOKENS; i++)
        tokens[i] = hf_model_tokens[i];
    double *whole = evaluate(moved, EVALUATE_DOUBLE, 1, HF_MODEL_TOKENS, tokens);
    expect_close(s->hf->name, logits + HF_MODEL_WORDS, whole + (HF_MODEL_TOKENS - 1) * HF_MODEL_WORDS,
                 HF_MODEL_WORDS);
    free(whole);
    graph_destroy(moved);
}

/* Of sources without an input for positions: GPT-2 as transformers has it, and OPT. */
static void hidden_tokens_are_numbered_where_the_source_numbers_them(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "opt", "llama"};
    double logits[BATCH * HF_MODEL_WORDS];
    for (int i = 0; i < 12; i++) {
        struct subject s;
        bool is_learned = i / 4 < 2;
        struct interface f = interface_usual;
        f.positions = (struct interface_input){.rank = 0};
        f.numbers_hidden = i / 2 % 2 && is_learned;
        subject_named(&s, names[i / 4]);
        s.model.graph->interface = interface_copy(&f, &s.model.graph->arena);
        write_onnx(&s, s.model.graph, &(struct emit_onnx_options){.is_fused = i % 2 == 1});
        expect_the_whole(&s, s.model.graph, &f);
        expect_the_same_again(&s, s.model.graph, &f);
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            run_session(&s, s.model.graph, &f, true, cuts[c], logits);
            if (f.numbers_hidden)
                expect_moved_positions(&s, s.model.graph, logits);
            else
                expect_close(s.hf->name, logits + HF_MODEL_WORDS, s.hf->logits, HF_MODEL_WORDS);
        }
        subject_release(&s);
    }
}

/* Asked for a cache, the file has positions as an input, so nothing is left to be said of hidden tokens. */
static void positions_that_are_given_are_numbered_by_who_gives_them(void **state)
{
    (void)state;
    struct subject s;
    double logits[BATCH * HF_MODEL_WORDS];
    subject_named(&s, "gpt2");
    struct interface f = {.mask = interface_usual.mask, .numbers_hidden = true};
    s.model.graph->interface = interface_copy(&f, &s.model.graph->arena);
    write_onnx(&s, s.model.graph, &with_cache[0]);
    expect_the_same_again(&s, s.model.graph, &interface_usual);
    run_session(&s, s.model.graph, &interface_usual, true, in_parts, logits);
    expect_close(s.hf->name, logits + HF_MODEL_WORDS, s.hf->logits, HF_MODEL_WORDS);
    subject_release(&s);
}

static void a_mask_or_positions_alone_are_kept_and_can_be_left_out(void **state)
{
    (void)state;
    static const struct interface interfaces[] = {
        {.mask = {{"attention_mask", 14}, INTERFACE_BOOL, 2}},
        {.positions = {{"positions", 9}, INTERFACE_INT64, 1}},
        {.mask = {{"attention_mask", 14}, INTERFACE_FLOAT, 2},
         .positions = {{"position", 8}, INTERFACE_INT64, 2}},
        {.mask = {.rank = 0}},
    };
    static const struct interface nothing = {.mask = {.rank = 0}};
    static const char *const names[] = {"llama", "opt"};
    for (int i = 0; i < 16; i++) {
        const struct interface *f = &interfaces[i / 4];
        struct emit_onnx_options options = {.is_fused = i % 2 == 1};
        struct subject s;
        subject_named(&s, names[i / 2 % 2]);
        s.model.graph->interface = interface_copy(f, &s.model.graph->arena);
        write_onnx(&s, s.model.graph, &options);
        expect_the_same_again(&s, s.model.graph, f);
        options.interface = EMIT_INTERFACE_TOKENS;
        write_onnx(&s, s.model.graph, &options);
        expect_the_same_again(&s, s.model.graph, &nothing);
        subject_release(&s);
    }
}

static void a_cache_is_refused_where_there_can_be_none(void **state)
{
    (void)state;
    static const char *const without =
        "espalier-ir 1\ninput %0: i32[batch, sequence] tokens\n"
        "tensor %1: f32[d0:5, d1:4] -\n%2: f32[batch, sequence, d1] = embed %1 %0\n"
        "%3: f32[batch, sequence, d0] = matmul_nt %2 %1\noutput %3 logits\n";
    struct trace trace = {0};
    struct graph *graph = NULL;
    assert_ok(graph_parse(&graph, str_from(without), "without", &trace), &trace);
    assert_fails(emit_onnx_check(graph, &with_cache[0], &trace), UNSUPPORTED, &trace,
                 "the model has no attention");
    graph_destroy(graph);
    struct subject s;
    subject_named(&s, "llama");
    struct interface twice = interface_usual;
    twice.cache[PAST_VALUE] = twice.cache[PAST_KEY];
    s.model.graph->interface = interface_copy(&twice, &s.model.graph->arena);
    assert_fails(emit_onnx_check(s.model.graph, NULL, &s.trace), UNSUPPORTED, &s.trace,
                 "two inputs or outputs are called \"past_key_values.0.key\"");
    for (uint32_t n = 0; n < s.model.graph->nodes.count; n++)
        for (uint32_t a = 0; a < s.model.graph->nodes.items[n].attribute_count; a++)
            if (s.model.graph->nodes.items[n].attributes[a].key == ATTRIBUTE_causal)
                s.model.graph->nodes.items[n].attributes[a].integer = 0;
    assert_fails(emit_onnx_check(s.model.graph, &with_cache[0], &s.trace), UNSUPPORTED, &s.trace,
                 "sees later positions");
    subject_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_architecture_goes_on_from_its_cache),
        cmocka_unit_test(pruned_models_have_smaller_caches_of_layers_counted_anew),
        cmocka_unit_test(names_layouts_and_types_are_the_sources),
        cmocka_unit_test(hidden_tokens_are_numbered_where_the_source_numbers_them),
        cmocka_unit_test(positions_that_are_given_are_numbered_by_who_gives_them),
        cmocka_unit_test(a_mask_or_positions_alone_are_kept_and_can_be_left_out),
        cmocka_unit_test(a_cache_is_refused_where_there_can_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
