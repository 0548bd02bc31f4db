/* The 256 visible characters that byte-level vocabularies write bytes with (Radford et al. 2019, encoder.py,
 * bytes_to_unicode): printable Latin-1 characters stand for themselves, the others for U+0100 and up in
 * order. */
#ifndef DATA_BYTE_ALPHABET_H
#define DATA_BYTE_ALPHABET_H

#include "base/arena.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

uint32_t byte_alphabet_character(uint8_t byte);
/* The byte that a character stands for, or -1. */
int byte_alphabet_byte(uint32_t character);
/* The bytes that a piece stands for, on the arena; false when it has a character outside the alphabet. */
bool byte_alphabet_decode(struct str *out, struct arena *arena, struct str piece);
/* The value NN of a piece "<0xNN>" (two upper-case digits), or -1. */
int byte_piece_value(struct str piece);

#endif
