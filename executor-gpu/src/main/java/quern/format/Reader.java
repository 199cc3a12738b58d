package quern.format;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A program that reads a format, or does not: an entry of a file of {@code conf/formats}.
 *
 * @param program its name, for a person
 * @param version the one that was run, or whose documentation or source was read
 * @param proof how it is known
 * @param source the test, or the address of the documentation
 * @param gpu the least compute capability of a GPU of NVIDIA that it needs for this format; null where nothing says so
 * @param gpuSource where that stands, if not in {@code source}
 * @param unpacks whether it unpacks weights when it loads them, and then holds two bytes for each; null where it does not
 * @param install what to install
 * @param code a file of {@code conf/formats/programs} by name, to be pasted; {@code {path}} and {@code {bits}} in it are replaced
 * @param remark what to know
 * @param cases each that holds adds to the above or changes it, in their order; the first that refuses ends it
 */
public record Reader(
        String program,
        @Nullable String version,
        @Nullable Proof proof,
        @Nullable String source,
        @Nullable Double gpu,
        @JsonProperty("gpu-source") @Nullable String gpuSource,
        @Nullable Boolean unpacks,
        @Nullable String install,
        @Nullable String code,
        @Nullable String remark,
        @Nullable List<Case> cases) {
    /** How it is known that a program reads a format. */
    public enum Proof {
        /** Checkpoints of ours were loaded in it on a CPU, and their logits compared. */
        @JsonProperty("run")
        RUN,
        /** Its documentation or source says so. */
        @JsonProperty("documented")
        DOCUMENTED
    }

    /**
     * @param when which checkpoints
     * @param refuses that it does not read them, in a sentence
     * @param code another file
     * @param remark a further one, said first
     */
    public record Case(
            When when,
            @Nullable String refuses,
            @Nullable String code,
            @Nullable String remark) {}

    /**
     * Which checkpoints: each that is given must hold.
     *
     * @param formats for files of several formats: one of these
     * @param families {@code model_type} is one of these
     * @param bits of codes, one of these for some linear
     * @param otherBitsThan none of these for some linear
     * @param otherGroupsThan the group size of some linear is none of these
     * @param groupOver more inputs than this share a scale
     * @param symmetric whether there are no zero points
     * @param order of the columns
     * @param mixed whether some linears have another width or group size
     * @param experts whether there are experts among the quantized linears
     * @param dividesJoined whether of linears that programs join some are quantized and others not, or otherwise
     */
    public record When(
            @Nullable List<String> formats,
            @Nullable List<String> families,
            @Nullable List<Integer> bits,
            @JsonProperty("other-bits-than") @Nullable List<Integer> otherBitsThan,
            @JsonProperty("other-groups-than") @Nullable List<Integer> otherGroupsThan,
            @JsonProperty("group-over") @Nullable Integer groupOver,
            @Nullable Boolean symmetric,
            @Nullable String order,
            @Nullable Boolean mixed,
            @Nullable Boolean experts,
            @JsonProperty("divides-joined") @Nullable Boolean dividesJoined) {
        boolean holds(Traits t) {
            return (formats == null || formats.contains(t.format()))
                    && (families == null || families.contains(t.family()))
                    && (bits == null || t.bits().stream().anyMatch(bits::contains))
                    && (otherBitsThan == null || !otherBitsThan.containsAll(t.bits()))
                    && (otherGroupsThan == null || !otherGroupsThan.containsAll(t.groupSizes()))
                    && (groupOver == null || t.longestGroup() > groupOver)
                    && (symmetric == null || symmetric == t.symmetric())
                    && (order == null || order.equalsIgnoreCase(t.order().name()))
                    && (mixed == null || mixed == t.mixed())
                    && (experts == null || experts == t.experts())
                    && (dividesJoined == null || dividesJoined == t.dividesJoined());
        }
    }

    /**
     * What it makes of a checkpoint.
     *
     * @param refuses why it does not read it; null if it does
     * @param code the file to paste, by name; null where there is none
     * @param remark may be empty
     */
    public record Answer(@Nullable String refuses, @Nullable String code, String remark) {}

    /** What it makes of this checkpoint. */
    public Answer answer(Traits traits) {
        String file = code;
        List<String> remarks = new ArrayList<>();
        for (Case each : cases == null ? List.<Case>of() : cases) {
            if (!each.when().holds(traits)) {
                continue;
            }
            if (each.refuses() != null) {
                return new Answer(filled(each.refuses(), traits), null, "");
            }
            file = each.code() == null ? file : each.code();
            if (each.remark() != null) {
                remarks.add(each.remark());
            }
        }
        if (remark != null) {
            remarks.add(remark);
        }
        return new Answer(null, file, filled(String.join(" ", remarks), traits));
    }

    private static String filled(String text, Traits traits) {
        return text.replace("{bits}", words(traits.bits()))
                .replace("{group}", words(traits.groupSizes()))
                .replace("{family}", traits.family());
    }

    private static String words(Set<Integer> numbers) {
        return numbers.stream().map(String::valueOf).collect(Collectors.joining(" and "));
    }
}
