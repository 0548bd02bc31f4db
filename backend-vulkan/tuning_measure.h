/* Measuring the variants of products on a device, and the file that keeps it. */
#ifndef BACKEND_VULKAN_TUNING_MEASURE_H
#define BACKEND_VULKAN_TUNING_MEASURE_H

#include "backend-vulkan/engine.h"

/* Sets engine->tuning from the cache folder, or measures and keeps it there. A file that is damaged or of
 * another device, driver or kernel is not used, but made anew; a folder that cannot be written is no error.
 */
enum status engine_tune(struct engine *engine, const char *folder, struct trace *trace) MUST_CHECK;

/* The file's name for this engine; on the arena. */
const char *engine_tuning_path(const struct engine *engine, const char *folder, struct arena *arena);

#endif
