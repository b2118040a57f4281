package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import jdk.incubator.vector.FloatVector;

/** Pages of f32 rows {@code [64, width]} as {@link GemmTile} reads them, {@link GemmTile#WIDTH} outputs a panel. All places are addresses. */
final class PagePack {

    private PagePack() {}

    /** Keys: panel after panel {@code [width, WIDTH keys]}. Two rows by two columns a step, as words of 8 bytes. */
    static void transpose(long page, int width, int panels, long packed) {
        for (int key = 0; key < panels * GemmTile.WIDTH; key += 2) {
            long from = page + 4L * width * key;
            int panel = key / GemmTile.WIDTH;
            long to = packed + 4L * GemmTile.WIDTH * width * panel + 4L * (key % GemmTile.WIDTH);
            for (int d = 0; d < width; d += 2) {
                long a = ALL.get(LONG, from + 4L * d);
                long b = ALL.get(LONG, from + 4L * (d + width));
                long at = to + 4L * GemmTile.WIDTH * d;
                ALL.set(LONG, at, (a & 0xffff_ffffL) | (b << 32));
                ALL.set(LONG, at + 4L * GemmTile.WIDTH, (a >>> 32) | (b & 0xffff_ffff_0000_0000L));
            }
        }
    }

    /** Values: panel after panel {@code [64, WIDTH]}; the first {@code count} rows. */
    static void panels(long page, int width, int count, long packed) {
        for (int row = 0; row < count; row++) {
            long from = page + 4L * width * row;
            long to = packed + 4L * GemmTile.WIDTH * row;
            for (int d = 0; d < width; d += GemmTile.WIDTH) {
                long at = to + 4L * KvShape.PAGE_ROWS * d;
                FloatVector.fromMemorySegment(F, ALL, from + 4L * d, LE).intoMemorySegment(ALL, at, LE);
                FloatVector.fromMemorySegment(F, ALL, from + 4L * (d + COUNT), LE)
                        .intoMemorySegment(ALL, at + 4L * COUNT, LE);
            }
        }
    }
}
