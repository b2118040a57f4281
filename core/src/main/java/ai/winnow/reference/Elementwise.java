package ai.winnow.reference;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Compare;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.Operands;

/** Each element for itself; operands broadcast as numpy does. */
final class Elementwise {

    private static final double TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

    private Elementwise() {}

    /** What becomes of one element; the missing operands of a unary function are 0. */
    private interface Function {
        double apply(double a, double b, double c);
    }

    static void unary(Unary.Function function, Operands operands) {
        map(operands, (x, b, c) -> apply(function, x));
    }

    static void binary(Binary.Operator operator, Operands operands) {
        map(operands, (a, b, c) -> apply(operator, a, b));
    }

    static void compare(Compare.Relation relation, Operands operands) {
        map(operands, (a, b, c) -> apply(relation, a, b) ? 1 : 0);
    }

    static void select(Operands operands) {
        map(operands, (condition, a, b) -> condition != 0 ? a : b);
    }

    static void cast(Operands operands) {
        map(operands, (x, b, c) -> x);
    }

    static void constant(float value, Operands operands) {
        map(operands, (a, b, c) -> value);
    }

    static void iota(Operands operands) {
        Elements out = Elements.output(operands, 0);
        for (long i = 0; i < out.count(); i++) {
            out.set(i, (double) i);
        }
    }

    private static void map(Operands operands, Function function) {
        Elements out = Elements.output(operands, 0);
        int inputs = operands.inputCount();
        Elements[] in = new Elements[inputs];
        long[][] strides = new long[inputs][];
        for (int i = 0; i < inputs; i++) {
            in[i] = Elements.input(operands, i);
            strides[i] = broadcastStrides(in[i], out);
        }
        long[] places = out.strides();
        long count = out.count();
        for (long at = 0; at < count; at++) {
            double a = inputs > 0 ? in[0].get(index(at, places, strides[0])) : 0;
            double b = inputs > 1 ? in[1].get(index(at, places, strides[1])) : 0;
            double c = inputs > 2 ? in[2].get(index(at, places, strides[2])) : 0;
            out.set(at, function.apply(a, b, c));
        }
    }

    /** How far to go in {@code in} for one step along each axis of {@code out}: 0 where {@code in} has size 1 or no such axis. */
    private static long[] broadcastStrides(Elements in, Elements out) {
        long[] own = in.strides();
        long[] strides = new long[out.rank()];
        for (int axis = 0; axis < in.rank(); axis++) {
            strides[axis + out.rank() - in.rank()] = in.sizes()[axis] == 1 ? 0 : own[axis];
        }
        return strides;
    }

    /** Where the operand with {@code strides} has its element for element {@code at} of a result with strides {@code places}. */
    private static long index(long at, long[] places, long[] strides) {
        long index = 0;
        long rest = at;
        for (int axis = 0; axis < places.length; axis++) {
            index += rest / places[axis] * strides[axis];
            rest %= places[axis];
        }
        return index;
    }

    private static double apply(Unary.Function function, double x) {
        return switch (function) {
            case NEG -> -x;
            case ABS -> Math.abs(x);
            case EXP -> Math.exp(x);
            case LOG -> Math.log(x);
            case SQRT -> Math.sqrt(x);
            case RSQRT -> 1 / Math.sqrt(x);
            case SIGMOID -> 1 / (1 + Math.exp(-x));
            case TANH -> Math.tanh(x);
            case ERF -> erf(x);
            case SIN -> Math.sin(x);
            case COS -> Math.cos(x);
            case RELU -> Math.max(x, 0);
            case NOT -> x != 0 ? 0 : 1;
        };
    }

    private static double apply(Binary.Operator operator, double a, double b) {
        return switch (operator) {
            case ADD -> a + b;
            case SUB -> a - b;
            case MUL -> a * b;
            case DIV -> a / b;
            case MAX -> Math.max(a, b);
            case MIN -> Math.min(a, b);
            case AND -> a != 0 && b != 0 ? 1 : 0;
            case OR -> a != 0 || b != 0 ? 1 : 0;
        };
    }

    private static boolean apply(Compare.Relation relation, double a, double b) {
        return switch (relation) {
            case EQUAL -> a == b;
            case NOT_EQUAL -> a != b;
            case LESS -> a < b;
            case LESS_OR_EQUAL -> a <= b;
        };
    }

    /** The series with positive terms only (Abramowitz and Stegun 7.1.6): nothing cancels. Beyond 6 it is 1 in f64. */
    private static double erf(double x) {
        if (Double.isNaN(x) || Math.abs(x) > 6) {
            return Double.isNaN(x) ? x : Math.signum(x);
        }
        double term = x;
        double sum = x;
        for (int n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return TWO_OVER_ROOT_PI * Math.exp(-x * x) * sum;
    }
}
