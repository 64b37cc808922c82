#include "cfs/core/version.h"
#include "base/wire.h"

bool
epoch_equal(Epoch a, Epoch b)
{
    return a.number == b.number && a.plan == b.plan;
}

int
generation_compare(Generation a, Generation b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    if (a.sequence != b.sequence)
        return a.sequence < b.sequence ? -1 : 1;
    return 0;
}

bool
generation_is_none(Generation generation)
{
    return generation.epoch == 0 && generation.sequence == 0;
}

bool
digest_equal(Digest x, Digest y)
{
    return x.a == y.a && x.b == y.b;
}

Digest
digest_bytes(const void *data, size_t length)
{
    uint64_t out[2];

    q_hash128(data, length, 0, out);
    return (Digest){ out[0], out[1] };
}

Digest
digest_chain(Digest before, const void *data, size_t length)
{
    uint64_t out[2];

    q_hash128(data, length, before.a ^ ((before.b << 1) | (before.b >> 63)), out);
    return (Digest){ out[0] ^ before.b, out[1] + before.a };
}

Digest
digest_add(Digest sum, Digest part)
{
    return (Digest){ sum.a + part.a, sum.b + part.b };
}

Digest
digest_remove(Digest sum, Digest part)
{
    return (Digest){ sum.a - part.a, sum.b - part.b };
}

int64_t
clocks_elapsed_holder(const Clocks *from, const Clocks *to)
{
    return MAX(to->boot_ms - from->boot_ms, to->raw_ms - from->raw_ms);
}

int64_t
clocks_elapsed_voter(const Clocks *from, const Clocks *to)
{
    return MIN(to->mono_ms - from->mono_ms, to->raw_ms - from->raw_ms);
}
