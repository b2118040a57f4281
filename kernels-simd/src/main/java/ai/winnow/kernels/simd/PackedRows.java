package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Attention of rows of one sequence over the pages of one key-value head of which some are packed. One row takes packed pages as they lie
 * where that is fast; else, and for several rows, each is unpacked into scratch and taken like any other.
 *
 * <p>Scratch: what the dense kernels need, then what {@link PackedRowAttention} needs, then a page of keys and one of values.
 */
final class PackedRows {

    private final Attention op;
    private final KvShape shape;
    private final PackedFormat format;
    private final RowAttention single;
    private final @Nullable TileAttention tiled;
    private final @Nullable PackedRowAttention packed;
    private final long packedAt;
    private final long keysAt;
    private final long valuesAt;
    private final long bytes;

    /** @param denseBytes scratch of {@code single} and of {@code tiled} */
    PackedRows(PackedAttention op, RowAttention single, @Nullable TileAttention tiled, long denseBytes) {
        this.op = op.attention();
        this.shape = op.attention().shape();
        this.format = op.format();
        this.single = single;
        this.tiled = tiled;
        this.packed = PackedRowAttention.isFast() ? new PackedRowAttention(this.op, format) : null;
        this.packedAt = Tensor.align(denseBytes);
        this.keysAt = packedAt + (packed == null ? 0 : packed.scratchBytes());
        this.valuesAt = keysAt + Tensor.align(shape.pageBytes());
        this.bytes = valuesAt + Tensor.align(shape.pageBytes());
    }

    long scratchBytes() {
        return bytes;
    }

    /** Whether one of the pages that rows from key {@code begin} to key {@code end} see is packed. */
    static boolean any(long table, int begin, int end) {
        for (int page = begin / KvShape.PAGE_ROWS; page * KvShape.PAGE_ROWS < end; page++) {
            if (number(table, page) < 0) {
                return true;
            }
        }
        return false;
    }

    private static int number(long table, int page) {
        return ALL.get(INT, table + 4L * page);
    }

    /** As {@link RowAttention#attend}. */
    void attend(
            long query,
            long out,
            MemorySegment keys,
            MemorySegment values,
            MemorySegment pool,
            long table,
            int begin,
            int end,
            long scratch) {
        single.start(query, scratch);
        int first = begin / KvShape.PAGE_ROWS;
        int last = (end - 1) / KvShape.PAGE_ROWS;
        if (packed != null) {
            packed.start(query, scratch + packedAt);
        }
        for (int page = first; page <= last; page++) {
            int number = number(table, page);
            int from = Math.max(0, begin - page * KvShape.PAGE_ROWS);
            int to = Math.min(KvShape.PAGE_ROWS, end - page * KvShape.PAGE_ROWS);
            if (number < 0 && packed != null) {
                int next = number(table, Math.min(page + 1, last));
                long at = address(pool, number);
                packed.take(at, from, next < 0 ? address(pool, next) : at, scratch + packedAt);
            } else {
                long k = number < 0 ? unpack(address(pool, number), scratch) : dense(keys, number);
                long v = number < 0 ? scratch + valuesAt : dense(values, number);
                single.readAhead(k, v, scratch);
                single.readNone(k, v, scratch);
                single.take(k, v, from, to, scratch);
            }
        }
        single.finish(out, scratch);
        if (packed != null) {
            packed.finish(out, single, scratch, scratch + packedAt);
        }
    }

    /** As {@link TileAttention#attend}. */
    void attend(
            long query,
            long out,
            long rowBytes,
            int rows,
            MemorySegment keys,
            MemorySegment values,
            MemorySegment pool,
            long table,
            int end,
            long scratch) {
        TileAttention tiles = Objects.requireNonNull(tiled);
        tiles.start(query, rowBytes, rows, scratch);
        int begin = op.window() > 0 ? Math.max(0, end - op.window()) : 0;
        int last = (end + rows - 2) / KvShape.PAGE_ROWS;
        for (int page = begin / KvShape.PAGE_ROWS; page <= last; page++) {
            int number = number(table, page);
            long k = number < 0 ? unpack(address(pool, number), scratch) : dense(keys, number);
            long v = number < 0 ? scratch + valuesAt : dense(values, number);
            tiles.whole(k, v, page, rows, end, scratch);
        }
        tiles.finish(out, rowBytes, rows, scratch);
    }

    private long dense(MemorySegment pool, int number) {
        return Memory.address(pool, number * shape.pageBytes(), shape.pageBytes());
    }

    private long address(MemorySegment pool, int number) {
        return Memory.address(pool, PackedFormat.entry(number) * format.bytes(), format.bytes());
    }

    /** Writes the rows of a packed page into scratch; returns where its keys are. */
    private long unpack(long page, long scratch) {
        int width = shape.headDim();
        int size = shape.dtype() == DType.F32 ? 4 : 2;
        Lanes.zero(scratch + keysAt, Math.toIntExact((bytes - keysAt) / 4));
        long numbers = page + format.keyNumbers();
        long rowBytes = (long) size * width;
        for (int channel = 0; channel < width; channel++) {
            long to = scratch + keysAt + (long) size * channel;
            numbers = tile(ALL.get(LONG, page + format.keyMask(channel)), numbers, size, to, rowBytes);
        }
        numbers = page + format.valueNumbers();
        for (int segment = 0; segment < format.segments(); segment++) {
            for (int row = 0; row < KvShape.PAGE_ROWS; row++) {
                long to = scratch + valuesAt + rowBytes * row + (long) size * Long.SIZE * segment;
                numbers = tile(ALL.get(LONG, page + format.valueMask(segment, row)), numbers, size, to, size);
            }
        }
        return scratch + keysAt;
    }

    /** Writes the numbers of a tile {@code step} bytes apart; returns where the next tile's begin. */
    private static long tile(long mask, long from, int size, long to, long step) {
        long at = from;
        for (long rest = mask; rest != 0; rest &= rest - 1) {
            long place = to + step * Long.numberOfTrailingZeros(rest);
            if (size == 4) {
                ALL.set(INT, place, ALL.get(INT, at));
            } else {
                ALL.set(SHORT, place, ALL.get(SHORT, at));
            }
            at += size;
        }
        return at;
    }
}
