/* The text form: printing, parsing back, canonical hash, verifier, and messages for texts that are wrong. */
#include "ir/text.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

static const struct llama_shape shape = {2, 24, 8, 4, 6, 40, 50};

static void prints_and_parses_back(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape), *parsed = NULL;
    struct builder first = {0}, second = {0};
    struct trace trace = {0};
    graph_print(g, TEXT_READABLE, &first);
    assert_ok(graph_parse(&parsed, (struct str){first.data, first.length}, "first", &trace), &trace);
    graph_print(parsed, TEXT_READABLE, &second);
    assert_string_equal(builder_text(&first), builder_text(&second));
    assert_true(hash128_equal(graph_hash(g), graph_hash(parsed)));
    assert_ok(graph_verify(parsed, &trace), &trace);
    builder_release(&first), builder_release(&second);
    graph_destroy(g), graph_destroy(parsed);
}

/* An interface is part of the text where there is one; metadata is in no text. */
static void interfaces_print_and_parse_back(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape), *bare = graph_clone(g), *parsed = NULL;
    struct builder text = {0};
    struct trace trace = {0};
    g->interface = interface_copy(&interface_usual, &g->arena);
    g->interface.positions.rank = 1;
    g->interface.layouts[1] = LAYOUT_BNHS;
    metadata_add(&g->metadata, &g->arena, STR("license"), STR("MIT"));
    graph_print(g, TEXT_CANONICAL, &text);
    assert_non_null(strstr(builder_text(&text),
                           "espalier-ir 1\ninterface mask attention_mask int64\n"
                           "interface positions position_ids int64 1\n"
                           "interface cache past_key_values.%.key past_key_values.%.value present.%.key "
                           "present.%.value bnsh bnhs\ninput %0"));
    assert_null(strstr(builder_text(&text), "MIT"));
    assert_ok(graph_parse(&parsed, (struct str){text.data, text.length}, "text", &trace), &trace);
    assert_true(interface_is_equal(&parsed->interface, &g->interface));
    struct graph *copies[] = {graph_clone(g), graph_canonicalise(g)};
    for (int i = 0; i < 2; i++) {
        assert_true(interface_is_equal(&copies[i]->interface, &g->interface));
        assert_true(str_is(metadata_find(&copies[i]->metadata, "license"), "MIT"));
        graph_destroy(copies[i]);
    }
    assert_false(hash128_equal(graph_hash(g), graph_hash(bare)));
    memset(&g->interface, 0, sizeof g->interface);
    assert_true(hash128_equal(graph_hash(g), graph_hash(bare)));
    builder_release(&text);
    graph_destroy(g), graph_destroy(bare), graph_destroy(parsed);
}

/* A text without the word is what it was before there was one. */
static void positions_of_hidden_tokens_are_a_word_of_the_mask(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape), *parsed = NULL;
    struct trace trace = {0};
    g->interface.mask = interface_usual.mask;
    struct hash128 without = graph_hash(g);
    g->interface.numbers_hidden = true;
    assert_false(hash128_equal(graph_hash(g), without));
    for (int word = 0; word < 2; word++) {
        struct builder text = {0};
        g->interface.numbers_hidden = word;
        graph_print(g, TEXT_CANONICAL, &text);
        const char *line = word ? "\ninterface mask attention_mask int64 numbers_hidden\ninput"
                                : "\ninterface mask attention_mask int64\ninput";
        assert_non_null(strstr(builder_text(&text), line));
        assert_ok(graph_parse(&parsed, (struct str){text.data, text.length}, "text", &trace), &trace);
        assert_int_equal(parsed->interface.numbers_hidden, word);
        assert_true(interface_is_equal(&parsed->interface, &g->interface));
        builder_release(&text);
        graph_destroy(parsed);
    }
    graph_destroy(g);
}

static void hash_ignores_names_but_not_structure(void **state)
{
    (void)state;
    struct graph *a = llama_create(&shape), *b = graph_clone(a),
                 *c = llama_create(&(struct llama_shape){2, 24, 8, 2, 6, 40, 50});
    b->tensors.items[0].name = STR("other");
    assert_true(hash128_equal(graph_hash(a), graph_hash(b)));
    assert_false(hash128_equal(graph_hash(a), graph_hash(c)));
    graph_destroy(a), graph_destroy(b), graph_destroy(c);
}

/* The same network written in another order has the same canonical form. */
static void canonical_form_does_not_depend_on_the_order_of_nodes(void **state)
{
    (void)state;
    const char *one =
        "espalier-ir 1\ninput %0: f32[b, d0:4] x\ntensor %1: f32[d1:3, d0] -\ntensor %2: f32[d1, d0] -\n"
        "%3: f32[b, d1] = matmul_nt %0 %1\n%4: f32[b, d1] = matmul_nt %0 %2\n"
        "%5: f32[b, d1] = silu %3\n%6: f32[b, d1] = mul %5 %4\noutput %6 y\n";
    const char *two =
        "espalier-ir 1\ninput %0: f32[b, d0:4] x\ntensor %1: f32[d1:3, d0] -\ntensor %2: f32[d1, d0] -\n"
        "%3: f32[b, d1] = matmul_nt %0 %1\n%4: f32[b, d1] = matmul_nt %0 %2\n%5: f32[b, d1] = silu %3\n"
        "%6: f32[b, d1] = silu %4\n%7: f32[b, d1] = mul %6 %3\noutput %7 y\n";
    struct graph *a = NULL, *b = NULL;
    struct trace trace = {0};
    assert_ok(graph_parse(&a, str_from(one), "one", &trace), &trace);
    assert_ok(graph_parse(&b, str_from(two), "two", &trace), &trace);
    struct graph *ca = graph_canonicalise(a), *cb = graph_canonicalise(b);
    assert_int_equal(cb->nodes.count, 4); /* the unused silu is gone */
    assert_true(hash128_equal(graph_hash(ca), graph_hash(cb)));
    graph_destroy(a), graph_destroy(b), graph_destroy(ca), graph_destroy(cb);
}

static void names_the_place_of_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"espalier-ir 2\n", "t:1:1: expected espalier-ir 1"},
        {"espalier-ir 1\ninput %0: f32[b, d0] x\n", "t:2:20: expected :"},
        {"espalier-ir 1\ninput %1: f32[b] x\n", "t:2:9: expected values numbered one after another"},
        {"espalier-ir 1\ninput %0: f64[b] x\n", "expected f32 or i32"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b] = siluu %0\n", "expected an op with as many results"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b] = silu %1\n",
         "expected a value that is defined above"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b, b] = silu %0\n", "another rank"},
        {"espalier-ir 1\ninput %0: f32[b, d0:4] x\ntensor %1: f32[d1:3, d2:5] -\n%2: f32[b, d1] = matmul_nt %0 %1\n",
         "sizes differ, 4 and 5"},
        {"espalier-ir 1\ntensor %0: f32[d0:4611686018427387904, d1:4] -\n",
         "expected a tensor of known size"},
        {"espalier-ir 1\ninput %0: f32[((((((((((((((((((b))))))))))))))))))] x\n",
         "fewer nested parentheses"},
        {"espalier-ir 1\ninput %0: f32[b, (d0:2*(d1:3] x\n", "expected )"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b] = scale %0 scale=fast\n", "expected a number"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b] = scale %0 scale=1e106\n", "expected a number"},
        {"espalier-ir 1\ninput %0: f32[b] x\n%1: f32[b] = scale %0 scale=-3.5e38\n", "expected a number"},
        {"espalier-ir 1\ninterface masks m int64\n", "expected mask, positions or cache"},
        {"espalier-ir 1\ninterface mask m\n", "t:2:17: expected int64, int32, bool or float"},
        {"espalier-ir 1\ninterface mask m int64 numbers\n",
         "t:2:23: expected numbers_hidden or the end of the line"},
        {"espalier-ir 1\ninterface mask m int64 numbers_hidden 2\n", "t:2:39: expected the end of the line"},
        {"espalier-ir 1\ninterface mask m int64\ninterface mask n int64\n", "expected each input once"},
        {"espalier-ir 1\ninterface positions p int64 3\n", "expected 1 or 2 axes"},
        {"espalier-ir 1\ninterface cache a.% b.% c d.% bnsh bnsh\n", "expected a name with one %"},
        {"espalier-ir 1\ninterface cache a.% b.% c.% d.% bnsh nbsh\n", "expected bnsh, bsnh or bnhs"},
        {"espalier-ir 1\ninterface mask # m\n", "expected a name"},
        {"espalier-ir 1\ninput %0: f32[b, s, d0:8] q\n%1: f32[b, s, d1:3] = head_norms %0 heads=3\n",
         "does not factor as the rule and the attributes say"},
        {"espalier-ir 1\ninput %0: i32[b, c, d, s] tokens\ntensor %1: f32[d0:4, d1:32] -\n%2: f32[b, s, d1] = embed %1 %0\n",
         "embed: result 0 would have 5 axes, at most 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct graph *g = NULL;
        struct trace trace = {0};
        assert_fails(graph_parse(&g, str_from(cases[i].text), "t", &trace), INVALID, &trace, cases[i].words);
    }
}

static void survives_truncation_at_every_byte(void **state)
{
    (void)state;
    struct graph *g = llama_create(&(struct llama_shape){1, 8, 2, 1, 4, 6, 5});
    struct builder text = {0};
    graph_print(g, TEXT_READABLE, &text);
    for (size_t cut = 0; cut < text.length; cut++) {
        struct graph *parsed = NULL;
        char *copy = malloc(cut + 1);
        memcpy(copy, text.data, cut);
        if (graph_parse(&parsed, (struct str){copy, cut}, "cut", NULL) == OK)
            graph_destroy(parsed);
        free(copy);
    }
    builder_release(&text);
    graph_destroy(g);
}

static void verifier_lists_what_is_broken(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape);
    struct trace trace = {0};
    assert_ok(graph_verify(g, &trace), &trace);
    g->nodes.items[1].inputs[0] = g->nodes.items[3].results[0];
    assert_fails(graph_verify(g, &trace), INVALID, &trace, "node 1: it reads a value that is made later");
    graph_destroy(g);
    g = llama_create(&shape);
    g->tensors.items[0].view.dims[0]++;
    assert_fails(graph_verify(g, &trace), INVALID, &trace, "another size than its axes");
    graph_destroy(g);
}

/* Pruning is copying with smaller leaves: attributes that restate a size follow. */
static void copying_with_smaller_leaves_recomputes_attributes(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape), *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, g);
    uint32_t q = ID_NONE, factors[DIM_MAX_FACTORS];
    for (uint32_t i = 0; i < g->tensors.count; i++)
        if (str_is(g->tensors.items[i].name, "layers.1.q"))
            q = g->tensors.items[i].value;
    assert_int_equal(dims_factors(&g->dims, graph_value(g, q)->axes[0], factors), 3);
    copy.terms[factors[0]] = dims_leaf(&to->dims, 3); /* KV groups of layer 1: 4 -> 3 */
    for (uint32_t i = 0; i < g->tensors.count; i++) {
        struct tensor *t = &g->tensors.items[i];
        for (uint32_t a = 0; a < t->view.rank; a++) {
            uint32_t term = graph_copy_term(&copy, graph_value(g, t->value)->axes[a]);
            t->view.dims[a] = dims_size(&to->dims, term);
        }
    }
    struct trace trace = {0};
    assert_ok(graph_copy_all(&copy, &trace), &trace);
    int seen = 0;
    for (uint32_t i = 0; i < to->nodes.count; i++)
        if (to->nodes.items[i].op == OP_attention) {
            assert_int_equal(node_integer(&to->nodes.items[i], ATTRIBUTE_kv_heads), seen == 0 ? 4 : 3);
            assert_int_equal(node_integer(&to->nodes.items[i], ATTRIBUTE_heads), seen == 0 ? 8 : 6);
            seen++;
        }
    assert_int_equal(seen, 2);
    graph_destroy(g), graph_destroy(to);
}

/* Where they are 0, so that texts of models without them are as they were. */
static void leaves_out_options_that_are_not_used(void **state)
{
    (void)state;
    static const struct {
        int64_t window, causal;
        float softcap;
        const char *text; /* NULL: refused */
    } cases[] = {{0, 1, 0, "causal=1\n"},
                 {0, 0, 2, "causal=0 softcap=2\n"},
                 {5, 1, 0, "causal=1 window=5\n"},
                 {5, 1, 1.5f, "causal=1 window=5 softcap=1.5\n"},
                 {5, 0, 0, NULL},
                 {-1, 1, 0, NULL},
                 {0, 1, -1, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *attributes = cases[i].text ? cases[i].text : "";
        struct builder text = {0}, again = {0};
        struct graph *graph = NULL;
        struct trace trace = {0};
        builder_printf(
            &text,
            "espalier-ir 1\ninput %%0: f32[2, 3, d0:4] q\n"
            "%%1: f32[2, 3, d0], %%2: f32[2, 3, 1, 2] = attention %%0 %%0 %%0 heads=1 kv_heads=1 scale=0.5 ");
        if (*attributes)
            builder_add_text(&text, attributes);
        else
            builder_printf(&text, "causal=%d window=%d softcap=%g\n", (int)cases[i].causal,
                           (int)cases[i].window, (double)cases[i].softcap);
        builder_add_text(&text, "output %1 y\n");
        enum status status = graph_parse(&graph, (struct str){text.data, text.length}, "text", &trace);
        if (!cases[i].text) {
            assert_int_equal(status, INVALID);
            assert_non_null(strstr(trace.text, cases[i].softcap < 0 ? "softcap" : "window"));
        } else {
            assert_ok(status, &trace);
            const struct node *node = &graph->nodes.items[0];
            assert_int_equal(node_integer(node, ATTRIBUTE_window), cases[i].window);
            assert_true(node_real(node, ATTRIBUTE_softcap) == cases[i].softcap);
            graph_print(graph, TEXT_CANONICAL, &again);
            assert_non_null(strstr(builder_text(&again), cases[i].text));
            graph_destroy(graph);
        }
        builder_release(&text);
        builder_release(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_and_parses_back),
        cmocka_unit_test(interfaces_print_and_parse_back),
        cmocka_unit_test(positions_of_hidden_tokens_are_a_word_of_the_mask),
        cmocka_unit_test(hash_ignores_names_but_not_structure),
        cmocka_unit_test(canonical_form_does_not_depend_on_the_order_of_nodes),
        cmocka_unit_test(leaves_out_options_that_are_not_used),
        cmocka_unit_test(names_the_place_of_an_error),
        cmocka_unit_test(survives_truncation_at_every_byte),
        cmocka_unit_test(verifier_lists_what_is_broken),
        cmocka_unit_test(copying_with_smaller_leaves_recomputes_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
