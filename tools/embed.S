/* The bytes of FILE under the name SYMBOL, and their number as a 64-bit word under SYMBOL_size. */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

    .section .rodata
    .balign 16
    .globl SYMBOL
    .type SYMBOL, @object
SYMBOL:
    .incbin FILE
.Lend:
    .size SYMBOL, .Lend - SYMBOL

    .balign 8
    .globl JOIN(SYMBOL, _size)
    .type JOIN(SYMBOL, _size), @object
JOIN(SYMBOL, _size):
    .quad .Lend - SYMBOL
    .size JOIN(SYMBOL, _size), 8

    .section .note.GNU-stack, "", @progbits
