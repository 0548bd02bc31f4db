/* Included before everything else in builds of the kernels for an instruction set (ninja/backend-cpu.ninja),
 * whose name is KERNEL_TARGET. On other processors these builds are of what the compiler takes for granted,
 * and are never chosen. */
#if defined __x86_64__ && defined KERNEL_TARGET
#define TARGET_PRAGMA(text) _Pragma(#text)
#define TARGET(name) TARGET_PRAGMA(GCC target(name))
TARGET(KERNEL_TARGET)
#undef TARGET
#undef TARGET_PRAGMA
#endif
