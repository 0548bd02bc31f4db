/* Texts that models wrote, stage by stage, the prompt before them in bold. */
#include "report/page.h"
#include "report/sections.h"
#include <string.h>

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    return json_is_string(text) ? (struct str){json_string_value(text), json_string_length(text)} : STR("");
}

static void add_sample(struct builder *page, const json_t *sample)
{
    struct str text = text_of(sample, "text"), prompt = text_of(sample, "prompt");
    const json_t *stream = json_object_get(sample, "stream");
    bool begins = text.length >= prompt.length && memcmp(text.data, prompt.data, prompt.length) == 0;
    builder_add_text(page, "<p><small>");
    if (stream)
        builder_printf(page, "drawn, %lld", (long long)json_integer_value(stream) + 1);
    else
        builder_add_text(page, "likeliest tokens");
    builder_add_text(page, "</small>");
    if (begins && prompt.length > 0) {
        builder_add_text(page, "<b>");
        page_add_text(page, prompt);
        builder_add_text(page, "</b>");
        text = (struct str){text.data + prompt.length, text.length - prompt.length};
    }
    page_add_text(page, text);
    builder_add_text(page, "</p>\n");
}

/* A row of cards a prompt. */
static void add_samples(struct builder *page, const json_t *samples)
{
    const json_t *list = json_object_get(samples, "samples");
    struct str before = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *sample = json_array_get(list, i);
        struct str prompt = text_of(sample, "prompt");
        if (i == 0 || !str_equal(prompt, before))
            builder_printf(page, "%s<div class=\"texts\">\n", i ? "</div><p></p>" : "");
        add_sample(page, sample);
        before = prompt;
    }
    if (json_array_size(list) > 0)
        builder_add_text(page, "</div>\n");
}

enum status section_samples(struct builder *page, const struct run *run, struct arena *arena,
                            struct trace *trace)
{
    bool is_begun = false;
    (void)arena;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        json_t *samples;
        TRY(section_json(&samples, run, i, "samples", trace));
        if (!samples)
            continue;
        if (!is_begun)
            page_section(page, "samples", "Sample texts");
        is_begun = true;
        builder_add_text(page, "<h3>");
        page_add_text(page, str_from(run->pipeline.stages.items[i].name));
        builder_printf(page, " <span class=\"soft\">temperature %.3g, seed %lld</span></h3>\n",
                       json_number_value(json_object_get(samples, "temperature")),
                       (long long)json_integer_value(json_object_get(samples, "seed")));
        add_samples(page, samples);
        json_decref(samples);
    }
    return OK;
}
