package ai.winnow.sparsity.activation.wina;

import ai.winnow.ArtefactException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.interfaces.decomposition.QRDecomposition;
import org.ejml.interfaces.decomposition.SingularValueDecomposition_F64;

/**
 * An orthonormal basis of the rows of a model.
 *
 * @param vectors {@code [width, width]}, a vector a column
 * @param values the singular value of each, descending; 0 for those that the matrix maps to 0
 */
record Basis(DMatrixRMaj vectors, double[] values) {

    /**
     * All right singular vectors of {@code matrix [out, width]}. Their signs are fixed (the greatest entry is positive), and so is
     * the basis of what the matrix maps to zero, which no decomposition determines: the last columns of the Householder
     * reflections that bring the other vectors to the axes. So the same weights give the same artefact.
     */
    static Basis rightSingular(DMatrixRMaj matrix) {
        int width = matrix.getNumCols();
        SingularValueDecomposition_F64<DMatrixRMaj> svd =
                DecompositionFactory_DDRM.svd(matrix.getNumRows(), width, false, true, true);
        if (!svd.decompose(matrix.copy())) {
            throw new ArtefactException("the singular value decomposition of a matrix [" + matrix.getNumRows() + ", "
                    + width + "] does not converge; the checkpoint may be damaged");
        }
        double[] found = svd.getSingularValues();
        int[] order = IntStream.range(0, svd.numberOfSingularValues())
                .boxed()
                .sorted(Comparator.comparingDouble((Integer i) -> -found[i]))
                .mapToInt(Integer::intValue)
                .toArray();
        double tolerance = order.length == 0 ? 0 : found[order[0]] * width * Math.ulp(1.0);
        int rank = (int) Arrays.stream(order).filter(i -> found[i] > tolerance).count();
        DMatrixRMaj spanned = columns(svd.getV(null, false), Arrays.copyOf(order, rank));
        double[] values = new double[width];
        for (int i = 0; i < rank; i++) {
            values[i] = found[order[i]];
        }
        DMatrixRMaj vectors = rank == width ? spanned : completed(spanned);
        fixSigns(vectors);
        return new Basis(vectors, values);
    }

    private static DMatrixRMaj columns(DMatrixRMaj source, int[] which) {
        DMatrixRMaj picked = new DMatrixRMaj(source.getNumRows(), which.length);
        for (int row = 0; row < source.getNumRows(); row++) {
            for (int i = 0; i < which.length; i++) {
                picked.set(row, i, source.get(row, which[i]));
            }
        }
        return picked;
    }

    private static DMatrixRMaj completed(DMatrixRMaj spanned) {
        int width = spanned.getNumRows();
        fixSigns(spanned); // the reflections depend on them
        QRDecomposition<DMatrixRMaj> qr = DecompositionFactory_DDRM.qr(width, spanned.getNumCols());
        if (spanned.getNumCols() > 0 && !qr.decompose(spanned.copy())) {
            throw new IllegalStateException("orthonormal columns have a QR decomposition");
        }
        DMatrixRMaj all =
                spanned.getNumCols() > 0 ? qr.getQ(null, false) : org.ejml.dense.row.CommonOps_DDRM.identity(width);
        for (int row = 0; row < width; row++) {
            for (int i = 0; i < spanned.getNumCols(); i++) {
                all.set(row, i, spanned.get(row, i));
            }
        }
        return all;
    }

    private static void fixSigns(DMatrixRMaj vectors) {
        for (int column = 0; column < vectors.getNumCols(); column++) {
            double greatest = 0;
            for (int row = 0; row < vectors.getNumRows(); row++) {
                double value = vectors.get(row, column);
                greatest = Math.abs(value) > Math.abs(greatest) ? value : greatest;
            }
            for (int row = 0; greatest < 0 && row < vectors.getNumRows(); row++) {
                vectors.set(row, column, -vectors.get(row, column));
            }
        }
    }
}
