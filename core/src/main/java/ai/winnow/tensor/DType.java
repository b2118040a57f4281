package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Locale;

/**
 * Element types. The constants' names are the names used by the safetensors format, all of which are listed; the ones that
 * Winnow computes with answer {@code true} to {@link #readable()}. {@link #I4} is ours alone and in no file.
 */
public enum DType {
    F64(64, true),
    F32(32, true),
    F16(16, true),
    BF16(16, true),
    F8_E5M2(8, false),
    F8_E4M3(8, false),
    F8_E8M0(8, false),
    F6_E2M3(6, false),
    F6_E3M2(6, false),
    F4(4, false),
    C64(64, false),
    I64(64, true),
    U64(64, false),
    I32(32, true),
    U32(32, false),
    I16(16, true),
    U16(16, false),
    I8(8, true),
    U8(8, true),
    BOOL(8, true),
    /**
     * -8 to 7, stored as the value plus 8, two elements a byte, the lower half of the byte first; what weights are quantised to
     * at load, with the scales of {@link Layout.ScaledGroups}. No safetensors type.
     */
    I4(4, true);

    private final int bits;
    private final boolean readable;

    DType(int bits, boolean readable) {
        this.bits = bits;
        this.readable = readable;
    }

    /** Bits an element takes. */
    public int bits() {
        return bits;
    }

    /** Whether {@link #getFloat} and {@link #setFloat} know this type. */
    public boolean readable() {
        return readable;
    }

    /** Whether a safetensors file may hold this type. */
    public boolean inFiles() {
        return this != I4;
    }

    /** Whether this is a floating-point type that Winnow computes with. */
    public boolean isFloat() {
        return this == F32 || this == BF16 || this == F16 || this == F64;
    }

    /**
     * Bytes that {@code elements} elements take; I4 rounded up to whole bytes.
     *
     * @throws ShapeException if they do not fill whole bytes or the count overflows
     */
    public long bytes(long elements) {
        try {
            long total = Math.multiplyExact(elements, bits);
            if (this == I4) {
                return Math.ceilDiv(total, 8);
            }
            if (total % 8 != 0) {
                throw new ShapeException(elements + " elements of " + this + " do not fill whole bytes");
            }
            return total / 8;
        } catch (ArithmeticException e) {
            throw new ShapeException(elements + " elements of " + this + " are more bytes than a long can count", e);
        }
    }

    /** Reads element {@code index} as a float; integers and doubles are rounded to the nearest float. */
    public float getFloat(MemorySegment segment, long index) {
        return switch (this) {
            case F64 -> (float) segment.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8);
            case F32 -> segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, index * 4);
            case F16 -> Float.float16ToFloat(segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2));
            case BF16 -> bf16ToFloat(segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2));
            case I64 -> segment.get(ValueLayout.JAVA_LONG_UNALIGNED, index * 8);
            case I32 -> segment.get(ValueLayout.JAVA_INT_UNALIGNED, index * 4);
            case I16 -> segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2);
            case I8 -> segment.get(ValueLayout.JAVA_BYTE, index);
            case U8, BOOL -> segment.get(ValueLayout.JAVA_BYTE, index) & 0xff;
            case I4 -> ((segment.get(ValueLayout.JAVA_BYTE, index >> 1) >> (4 * (index & 1))) & 0xf) - 8;
            default -> throw unreadable();
        };
    }

    /** Writes {@code value} as element {@code index}, rounded to nearest even; integers are truncated towards zero. */
    public void setFloat(MemorySegment segment, long index, float value) {
        switch (this) {
            case F64 -> segment.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8, value);
            case F32 -> segment.set(ValueLayout.JAVA_FLOAT_UNALIGNED, index * 4, value);
            case F16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2, Float.floatToFloat16(value));
            case BF16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2, floatToBf16(value));
            case I64 -> segment.set(ValueLayout.JAVA_LONG_UNALIGNED, index * 8, (long) value);
            case I32 -> segment.set(ValueLayout.JAVA_INT_UNALIGNED, index * 4, (int) value);
            case I16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, index * 2, (short) value);
            case I8, U8, BOOL -> segment.set(ValueLayout.JAVA_BYTE, index, (byte) value);
            case I4 -> {
                int shift = 4 * (int) (index & 1);
                int others = segment.get(ValueLayout.JAVA_BYTE, index >> 1) & (0xf0 >> shift);
                segment.set(ValueLayout.JAVA_BYTE, index >> 1, (byte) (others | ((((int) value + 8) & 0xf) << shift)));
            }
            default -> throw unreadable();
        }
    }

    /** Widens a bfloat16: exact. */
    public static float bf16ToFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** Narrows to bfloat16, to nearest even; a NaN stays a (quiet) NaN. */
    public static short floatToBf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /**
     * The type that a configuration names, in safetensors' ({@code BF16}) or torch's ({@code bfloat16}) words.
     *
     * @throws ShapeException if there is no such type
     */
    public static DType parse(String name) {
        return switch (name.toLowerCase(Locale.ROOT)) {
            case "float64", "f64", "double" -> F64;
            case "float32", "f32", "float" -> F32;
            case "float16", "f16", "half" -> F16;
            case "bfloat16", "bf16" -> BF16;
            case "int8", "i8" -> I8;
            case "int4", "i4" -> I4;
            case "int32", "i32" -> I32;
            case "int64", "i64" -> I64;
            default ->
                throw new ShapeException(
                        "unknown element type '" + name + "'; known: f64, f32, f16, bf16, int8, int4, int32, int64");
        };
    }

    private ShapeException unreadable() {
        return new ShapeException("elements of type " + this
                + " can be listed but not computed with; convert the tensor to f32, f16 or bf16");
    }
}
