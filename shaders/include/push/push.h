/* What every push-constant block starts with, in text that C and GLSL both compile. A block has scalar fields
 * of 4 bytes only, so that both see the same layout. The host fills the head; the rest is named by the
 * kernel's own block. */
#ifndef SHADERS_PUSH_PUSH_H
#define SHADERS_PUSH_PUSH_H

/* first_group: number of the first group of this dispatch, where one is cut in several.
 * at0 .. at9: first element of the tensor within the range bound at binding 0 .. 9. */
#define PUSH_HEAD     \
    uint first_group; \
    uint at0, at1, at2, at3, at4, at5, at6, at7, at8, at9;

#ifdef VULKAN
#define PUSH_BLOCK(name) layout(push_constant) uniform name
#define PUSH_CHECK(name, words)
#else
#include <assert.h>
#include <stdint.h>
#include <sys/types.h>
#define PUSH_BLOCK(name) struct name
#define PUSH_CHECK(name, words)                                      \
    static_assert(sizeof(struct name) == 4 * (words), "no padding"); \
    static_assert(sizeof(struct name) <= 128, "what every device has");
enum { PUSH_BINDINGS = 10, PUSH_HEAD_WORDS = 11 };
PUSH_BLOCK(push_head){PUSH_HEAD};
PUSH_CHECK(push_head, 11)
#endif

#endif
