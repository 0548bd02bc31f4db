/* One frame of zstd with its length and a checksum. */
#include "store/packing.h"
#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3 };

void pack_bytes(struct builder *out, const void *bytes, size_t length)
{
    size_t most = ZSTD_compressBound(length);
    char *packed = malloc(most);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!packed || !context)
        BUG("out of memory");
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t size = ZSTD_compress2(context, packed, most, bytes, length);
    if (ZSTD_isError(size))
        BUG("zstd: %s", ZSTD_getErrorName(size));
    builder_add(out, packed, size);
    ZSTD_freeCCtx(context);
    free(packed);
}

enum status unpack_bytes(void *out, size_t length, const void *packed, size_t packed_length,
                         struct trace *trace)
{
    size_t size = ZSTD_decompress(out, length, packed, packed_length);
    if (ZSTD_isError(size))
        return status_fail(trace, CORRUPT, "compressed bytes are damaged: %s", ZSTD_getErrorName(size));
    if (size != length)
        return status_fail(trace, CORRUPT, "expected %zu compressed bytes, found %zu", length, size);
    return OK;
}
