/* From tallies to scores, a variant at a time. The scores of all sites of a name are added: those of norms
 * make one ranking of the residual stream. */
#include "measure/scorer.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const score_method_names[SCORE_METHOD_COUNT] = {"activation", "random", "magnitude", "taylor",
                                                            "flap"};

const char *score_variant_name(struct arena *arena, const struct score_variant *variant)
{
    return variant->method == SCORE_ACTIVATION ? arena_printf(arena, "%s-%s", statistic_name(variant->batch),
                                                              statistic_name(variant->sequence))
                                               : score_method_names[variant->method];
}

static uint32_t elements_of(const struct site *site)
{
    return site->heads ? site->heads : site->channels;
}

static void add_activation(float *values, const struct scorer *s, const struct site *site,
                           const struct score_variant *variant)
{
    const struct tally *t = &s->signals.items[site->statistics[variant->sequence]].tally;
    if (t->count == elements_of(site)) {
        for (uint32_t e = 0; e < t->count; e++)
            values[e] += tally_get(t, e, variant->batch);
        return;
    }
    uint32_t size = site->channels / site->heads; /* HEADS_NORM_LAST */
    for (uint32_t h = 0; h < site->heads; h++) {
        double squares = 0;
        for (uint32_t e = 0; e < size; e++) {
            double x = (double)tally_get(t, h * size + e, variant->batch);
            squares += x * x;
        }
        values[h] += gm_sqrt((float)squares);
    }
}

static void add_random(float *values, const struct scorer *s, const struct site *site)
{
    uint64_t seed = s->options->seed;
    for (uint32_t e = 0; e < elements_of(site); e++) {
        struct gm_words counter = {e, site->heads ? 1 : 0,
                                   strcmp(site->score, "hidden") == 0 ? 0 : site->layer + 1, 0};
        values[e] = gm_uniform(gm_philox(counter, (uint)seed, (uint)(seed >> 32)).x);
    }
}

static void add_magnitude(float *values, const struct scorer *s, const struct site *site)
{
    struct arena scratch = {0};
    uint32_t count = elements_of(site);
    double *squares = ARENA_ARRAY(&scratch, double, count);
    weights_squares(squares, count, s->model, &s->classes, site->score, site->layer);
    for (uint32_t e = 0; e < count; e++)
        values[e] = gm_sqrt((float)squares[e]);
    arena_release(&scratch);
}

static void add_taylor(float *values, const struct scorer *s, const struct site *site)
{
    if (site->taylor == ID_NONE)
        return;
    for (uint32_t e = 0; e < elements_of(site); e++)
        values[e] += tally_get(&s->signals.items[site->taylor].tally, e, STATISTIC_MEAN);
}

/* The variance over all positions is the mean of the sequences' variances and the variance of their means. */
static void add_flap(float *values, const struct scorer *s, const struct site *site)
{
    struct arena scratch = {0};
    const struct tally *mean = &s->signals.items[site->mean].tally,
                       *variance = &s->signals.items[site->variance].tally;
    double *squares = ARENA_ARRAY(&scratch, double, site->channels),
           *sums = ARENA_ARRAY(&scratch, double, elements_of(site));
    weights_column_squares(squares, &s->model->tensors.items[site->reader]);
    uint32_t size = site->channels / elements_of(site);
    for (uint32_t c = 0; c < site->channels; c++)
        sums[c / size] += (variance->sum[c] + mean->m2[c]) / (double)mean->sequences * squares[c];
    for (uint32_t e = 0; e < elements_of(site); e++)
        values[e] = (float)sums[e];
    arena_release(&scratch);
}

/* False where the method has nothing to say about the site's score. */
static bool add_site(float *values, const struct scorer *s, const struct site *site,
                     const struct score_variant *variant)
{
    switch (variant->method) {
    case SCORE_ACTIVATION:
        add_activation(values, s, site, variant);
        return true;
    case SCORE_RANDOM:
        add_random(values, s, site);
        return true;
    case SCORE_MAGNITUDE:
        add_magnitude(values, s, site);
        return true;
    case SCORE_TAYLOR:
        add_taylor(values, s, site);
        return true;
    default:
        if (site->mean != ID_NONE && strcmp(site->score, "hidden") != 0)
            add_flap(values, s, site);
        return site->mean != ID_NONE && strcmp(site->score, "hidden") != 0;
    }
}

static bool is_first_of_its_score(const struct scorer *s, uint32_t number)
{
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(s->sites.items[i].score, s->sites.items[number].score) == 0)
            return false;
    return true;
}

static void add_variant(struct scores *out, const struct scorer *s, const struct score_variant *variant,
                        const char *suffix)
{
    for (uint32_t n = 0; n < s->sites.count; n++) {
        const struct site *first = &s->sites.items[n];
        if (!is_first_of_its_score(s, n))
            continue;
        float *values = ARENA_ARRAY(s->arena, float, elements_of(first));
        bool any = false;
        for (uint32_t i = n; i < s->sites.count; i++)
            if (strcmp(s->sites.items[i].score, first->score) == 0)
                any = add_site(values, s, &s->sites.items[i], variant) || any;
        if (any)
            scores_add(out, s->arena, arena_printf(s->arena, "%s%s", first->score, suffix), values,
                       elements_of(first));
    }
}

static void add_means(struct scores *out, const struct scorer *s)
{
    for (uint32_t n = 0; n < s->sites.count; n++) {
        const struct site *site = &s->sites.items[n];
        if (site->mean == ID_NONE || strcmp(site->score, "hidden") == 0)
            continue;
        const struct tally *mean = &s->signals.items[site->mean].tally;
        float *values = ARENA_ARRAY(s->arena, float, site->channels);
        for (uint32_t c = 0; c < site->channels; c++)
            values[c] = (float)(mean->sum[c] / (double)mean->sequences);
        scores_add(out, s->arena, arena_printf(s->arena, "%s@means", site->score), values, site->channels);
    }
}

/* Squares of L2 norms over positions, added over sequences, for each position. */
static void add_energies(struct scores *out, const struct scorer *s)
{
    for (uint32_t n = 0; n < s->energies.count; n++) {
        const struct tally *t = &s->signals.items[s->energies.items[n]].tally;
        float *values = ARENA_ARRAY(s->arena, float, t->count);
        for (uint32_t c = 0; c < t->count; c++)
            values[c] = (float)(t->squares[c] / (double)s->positions);
        scores_add(out, s->arena, arena_printf(s->arena, "norms.%" PRIu32 "@energy", n), values, t->count);
    }
}

void scorer_width_scores(struct scores *out, const struct scorer *s)
{
    const struct score_options *o = s->options;
    add_variant(out, s, &o->variants[0], "");
    for (uint32_t i = 0; i < o->variant_count && o->variant_count > 1; i++)
        add_variant(out, s, &o->variants[i],
                    arena_printf(s->arena, "@%s", score_variant_name(s->arena, &o->variants[i])));
    if (scorer_wants(s, SCORE_FLAP))
        add_means(out, s);
    add_energies(out, s);
}
