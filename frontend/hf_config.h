/* config.json of a Hugging Face folder. What changes the function of the model and is not understood is
 * refused, naming the field; the fields are data (frontend/hf_fields.def), and so are the architectures
 * (ir/hf_architectures.def). */
#ifndef FRONTEND_HF_CONFIG_H
#define FRONTEND_HF_CONFIG_H

#include "frontend/decoder.h"

/* `text` is the file's. INVALID: damaged, or sizes that do not fit; UNSUPPORTED: not understood. Notes are
 * added to the model. */
enum status hf_config_read(struct decoder_config *out, struct imported_model *model, struct str text,
                           struct trace *trace) MUST_CHECK;

#endif
