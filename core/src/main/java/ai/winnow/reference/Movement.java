package ai.winnow.reference;

import ai.winnow.tensor.Operands;
import java.util.List;
import java.util.Objects;

/** Elements to other places, bit for bit; and rows added to rows. */
final class Movement {

    private Movement() {}

    static void reshape(Operands operands) {
        Elements out = Elements.output(operands, 0);
        out.copyFrom(0, Elements.input(operands, 0), 0, out.count());
    }

    static void transpose(List<Integer> axes, Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        long[] from = in.strides();
        long[] to = out.strides();
        for (long at = 0; at < out.count(); at++) {
            long source = 0;
            long rest = at;
            for (int axis = 0; axis < axes.size(); axis++) {
                source += rest / to[axis] * from[axes.get(axis)];
                rest %= to[axis];
            }
            out.copyFrom(at, in, source, 1);
        }
    }

    static void slice(int axis, long from, Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        long inner = in.count(axis + 1, in.rank());
        long block = out.sizes()[axis] * inner;
        for (long o = 0; o < in.count(0, axis); o++) {
            out.copyFrom(o * block, in, (o * in.sizes()[axis] + from) * inner, block);
        }
    }

    static void concat(int axis, Operands operands) {
        Elements out = Elements.output(operands, 0);
        long stride = out.count(axis, out.rank());
        long start = 0;
        for (int i = 0; i < operands.inputCount(); i++) {
            Elements in = Elements.input(operands, i);
            long block = in.count(axis, in.rank());
            for (long o = 0; o < in.count(0, axis); o++) {
                out.copyFrom(o * stride + start, in, o * block, block);
            }
            start += block;
        }
    }

    static void gather(Operands operands) {
        Elements table = Elements.input(operands, 0);
        Elements indices = Elements.input(operands, 1);
        Elements out = Elements.output(operands, 0);
        long row = table.count(1, table.rank());
        for (int i = 0; i < indices.sizes()[0]; i++) {
            out.copyFrom(i * row, table, row(indices, i, table) * row, row);
        }
    }

    static void scatterAdd(Operands operands) {
        Elements base = Elements.input(operands, 0);
        Elements indices = Elements.input(operands, 1);
        Elements updates = Elements.input(operands, 2);
        Elements out = Elements.output(operands, 0);
        out.copyFrom(0, base, 0, base.count());
        long row = base.count(1, base.rank());
        for (int i = 0; i < indices.sizes()[0]; i++) {
            long to = row(indices, i, out) * row;
            for (long j = 0; j < row; j++) {
                out.set(to + j, out.get(to + j) + updates.get(i * row + j));
            }
        }
    }

    static void scatter(Operands operands) {
        Elements base = Elements.input(operands, 0);
        Elements indices = Elements.input(operands, 1);
        Elements updates = Elements.input(operands, 2);
        Elements out = Elements.output(operands, 0);
        out.copyFrom(0, base, 0, base.count());
        long row = base.count(1, base.rank());
        for (int i = 0; i < indices.sizes()[0]; i++) {
            out.copyFrom(row(indices, i, out) * row, updates, i * row, row);
        }
    }

    /** The row that index {@code i} names; a wrong one is an error, here and in every kernel. */
    private static long row(Elements indices, int i, Elements table) {
        return Objects.checkIndex((int) indices.get(i), table.sizes()[0]);
    }
}
