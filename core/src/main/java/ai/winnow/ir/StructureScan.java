package ai.winnow.ir;

import ai.winnow.ArtefactException;
import ai.winnow.ir.WeightStructure.Blocks16x1;
import ai.winnow.ir.WeightStructure.Dense;
import ai.winnow.ir.WeightStructure.NOfM;
import ai.winnow.ir.WeightStructure.Unstructured;
import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.BlockSparse16x1;
import ai.winnow.tensor.CompressedRows;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Looks at a matrix for what {@link WeightStructure} says. */
final class StructureScan {

    private static final int PANEL = 16;

    /** Zeros below this share are no structure. */
    private static final double FEW_ZEROS = 0.05;

    /** How much more blocks of 16x1 may store than there is, to be called the structure. */
    private static final double FULL_BLOCKS = 1.05;

    /** Density from which on 2:4 says more than a count does. */
    private static final double HALF = 0.45;

    private StructureScan() {}

    static List<Layout.Sparse> layouts(WeightStructure structure, TensorSpec spec) {
        if (structure instanceof Dense || spec.shape().rank() != 2) {
            return List.of();
        }
        List<Layout.Sparse> layouts = new ArrayList<>();
        if (structure instanceof Blocks16x1(long blocks) && BlockSparse16x1.fits(spec)) {
            layouts.add(new BlockSparse16x1(Math.min(
                    blocks,
                    Math.ceilDiv(spec.shape().max(0), (long) PANEL)
                            * spec.shape().max(1))));
        }
        layouts.add(new BitmaskPanel16(structure.nonZeros(spec)));
        if (CompressedRows.fits(spec)) {
            layouts.add(new CompressedRows(structure.nonZeros(spec)));
        }
        return layouts;
    }

    /**
     * What 16 rows have.
     *
     * @param covered elements of the blocks, without the rows that the last panel lacks
     */
    private record Counted(long nonZeros, long blocks, long covered, boolean twoOfFour) {
        Counted plus(Counted other) {
            return new Counted(
                    nonZeros + other.nonZeros,
                    blocks + other.blocks,
                    covered + other.covered,
                    twoOfFour && other.twoOfFour);
        }
    }

    static WeightStructure of(Tensor weight) {
        TensorSpec spec = weight.spec();
        int panels = Math.toIntExact((spec.shape().max(0) + PANEL - 1) / PANEL);
        Counted all = IntStream.range(0, panels)
                .parallel()
                .mapToObj(panel -> count(weight, panel))
                .reduce(new Counted(0, 0, 0, true), Counted::plus);
        double total = spec.shape().maxElements();
        if (all.nonZeros() > (1 - FEW_ZEROS) * total) {
            return WeightStructure.dense();
        }
        if (all.covered() <= FULL_BLOCKS * all.nonZeros()) {
            return new Blocks16x1(all.blocks());
        }
        return all.twoOfFour() && all.nonZeros() >= HALF * total ? new NOfM(2, 4) : new Unstructured(all.nonZeros());
    }

    private static Counted count(Tensor weight, int panel) {
        int columns = Math.toIntExact(weight.shape().max(1));
        int first = PANEL * panel;
        int last = Math.min(first + PANEL, Math.toIntExact(weight.shape().max(0)));
        boolean[] used = new boolean[columns];
        long nonZeros = 0;
        boolean twoOfFour = true;
        for (int row = first; row < last; row++) {
            int inGroup = 0;
            for (int column = 0; column < columns; column++) {
                inGroup = column % 4 == 0 ? 0 : inGroup;
                if (weight.getFloat((long) row * columns + column) != 0) {
                    used[column] = true;
                    nonZeros++;
                    twoOfFour &= ++inGroup <= 2;
                }
            }
        }
        long blocks = 0;
        for (boolean each : used) {
            blocks += each ? 1 : 0;
        }
        return new Counted(nonZeros, blocks, blocks * (last - first), twoOfFour);
    }

    static void require(WeightStructure structure, String name, Tensor weight) {
        switch (structure) {
            case Dense _ -> {}
            case Unstructured unstructured -> requireCount(unstructured, name, weight);
            case Blocks16x1 blocks -> requireBlocks(blocks, name, weight);
            case NOfM groups -> requireGroups(groups, name, weight);
        }
    }

    private static void requireCount(Unstructured structure, String name, Tensor weight) {
        int rows = Math.toIntExact(weight.shape().max(0));
        int columns = Math.toIntExact(weight.shape().max(1));
        long[] found = IntStream.range(0, rows)
                .parallel()
                .mapToLong(row -> nonZeros(weight, row, columns))
                .toArray();
        long left = structure.nonZeros();
        for (int row = 0; row < rows; row++) {
            if (found[row] > left) {
                int column = -1;
                for (long passed = 0; passed <= left; passed++) {
                    do {
                        column++;
                    } while (weight.getFloat((long) row * columns + column) == 0);
                }
                long total = LongStream.of(found).sum();
                throw broken(name, structure.nonZeros() + " non-zeros", "it has " + total, row, column);
            }
            left -= found[row];
        }
    }

    private static long nonZeros(Tensor weight, int row, int columns) {
        long count = 0;
        for (int column = 0; column < columns; column++) {
            count += weight.getFloat((long) row * columns + column) != 0 ? 1 : 0;
        }
        return count;
    }

    private static void requireBlocks(Blocks16x1 structure, String name, Tensor weight) {
        int rows = Math.toIntExact(weight.shape().max(0));
        int columns = Math.toIntExact(weight.shape().max(1));
        long left = structure.blocks();
        long[] found = IntStream.range(0, (rows + PANEL - 1) / PANEL)
                .parallel()
                .mapToLong(panel -> count(weight, panel).blocks())
                .toArray();
        for (int panel = 0; panel < found.length; panel++) {
            if (found[panel] > left) {
                for (int column = 0; column < columns; column++) {
                    int row = firstRow(weight, panel, column, rows, columns);
                    if (row >= 0 && left-- == 0) {
                        long total = LongStream.of(found).sum();
                        throw broken(name, structure.blocks() + " blocks of 16x1", "it has " + total, row, column);
                    }
                }
            }
            left -= found[panel];
        }
    }

    private static int firstRow(Tensor weight, int panel, int column, int rows, int columns) {
        for (int row = PANEL * panel; row < Math.min(rows, PANEL * (panel + 1)); row++) {
            if (weight.getFloat((long) row * columns + column) != 0) {
                return row;
            }
        }
        return -1;
    }

    private static void requireGroups(NOfM structure, String name, Tensor weight) {
        int rows = Math.toIntExact(weight.shape().max(0));
        int columns = Math.toIntExact(weight.shape().max(1));
        IntStream.range(0, rows).parallel().forEach(row -> {
            int inGroup = 0;
            for (int column = 0; column < columns; column++) {
                inGroup = column % structure.m() == 0 ? 0 : inGroup;
                if (weight.getFloat((long) row * columns + column) != 0 && ++inGroup > structure.n()) {
                    throw broken(
                            name,
                            structure.n() + " weights of every " + structure.m() + " inputs",
                            "a group has more",
                            row,
                            column);
                }
            }
        });
    }

    static String percentZero(WeightStructure structure, TensorSpec spec) {
        return Math.round(100 * (1 - structure.density(spec))) + " %";
    }

    private static ArtefactException broken(String name, String most, String found, int row, int column) {
        return new ArtefactException("weight '" + name + "' was declared to have at most " + most + ", but " + found
                + ": one too many is at row " + row + ", column " + column
                + "; declare its structure as it is, or prune it as declared");
    }
}
