/* Time stamps around the launches of each node of a program, for profiles. A node lasts from the end of the
 * one before to its own: what runs side by side is counted once. */
#ifndef BACKEND_VULKAN_TIMING_H
#define BACKEND_VULKAN_TIMING_H

#include "backend-vulkan/device.h"
#include "ir/profile.h"

struct timed_node {
    const char *name, *detail;
    struct work work;
    uint32_t launches; /* all that are recorded when its own and the checks of its results are */
};

struct timing {
    struct device *device; /* borrowed; NULL when nothing is timed */
    uint64_t mask;         /* of the bits that a stamp has */
    VkQueryPool stamps;
    struct arena arena;
    VEC(struct timed_node) nodes;
    uint32_t recorded; /* nodes whose stamp is in the commands */
};

/* Leaves it off where the device has no time stamps: then profiles have no lane of the device. */
void timing_init(struct timing *out, struct device *device);
void timing_release(struct timing *timing); /* accepts zeroed memory */

/* Texts must outlive the timing. */
void timing_note(struct timing *timing, struct timed_node node);
/* After the last node, before recording. */
enum status timing_prepare(struct timing *timing, struct trace *trace) MUST_CHECK;
/* While recording, with the number of launches recorded so far. */
void timing_record(struct timing *timing, VkCommandBuffer commands, uint32_t launches);
/* Seconds from one stamp to the next, which may have wrapped. A clock that went back has stood still. */
double timing_between(const struct timing *timing, uint64_t from, uint64_t to);
/* After a run that was waited for until `end`. */
enum status timing_report(const struct timing *timing, struct profile *profile, double end,
                          struct trace *trace) MUST_CHECK;

#endif
