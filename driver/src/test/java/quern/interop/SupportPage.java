package quern.interop;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.CsvSource;
import quern.format.Container;
import quern.format.Format;
import quern.format.Formats;
import quern.format.Reader;
import quern.format.Readers;

/**
 * {@code driver/SUPPORT.md}: what was checked of each format, made of what the tests check. Loads are lines of {@code loads.txt},
 * bytes and conversions the rows of the tests that compare them, programs that were not run the files of {@code conf/formats}.
 */
final class SupportPage {
    private SupportPage() {}

    static String text() {
        StringBuilder page = new StringBuilder("""
                # Support

                Made of the tests by `SupportPageTest`, which fails when this page is not what they say; not written by hand.

                *Run* means: the program of this version loaded checkpoints on a CPU, and its logits were those of the weights that the codes
                stand for, by the relative error that is named; a copy with one scale negated was seen to fail. The lines are those of
                `driver/src/test/resources/interop/loads.txt`. *Not run* means that it is known from where it says. No format was loaded on a GPU.

                | format | run | not run | bytes compared with those of its tool |
                |---|---|---|---|
                """);
        for (Format format : Formats.all()) {
            page.append("| [`%1$s`](#%1$s) | %2$s | %3$s | %4$s |%n"
                    .formatted(
                            format.name(),
                            programs(format, true),
                            programs(format, false),
                            bytes(format).isEmpty() ? "no" : "yes"));
        }
        Formats.all().forEach(format -> page.append(section(format)));
        return page.toString();
    }

    private static String programs(Format format, boolean run) {
        return Readers.of(format).stream()
                .filter(r ->
                        r.proof() != null && !loads(format.name(), r.program()).isEmpty() == run)
                .map(r -> r.program() + " " + r.version())
                .collect(Collectors.joining(", "));
    }

    private static String section(Format format) {
        StringBuilder section = new StringBuilder("""

                ## %s

                | program | how it was checked | what |
                |---|---|---|
                """.formatted(format.name()));
        for (Reader reader : Readers.of(format)) {
            if (reader.proof() == null) {
                continue;
            }
            List<Loads> loads = loads(format.name(), reader.program());
            section.append("| %s %s | %s | %s |%n"
                    .formatted(
                            reader.program(),
                            reader.version(),
                            loads.isEmpty() ? notRun(reader) : accuracy(loads, reader.program()),
                            loads.isEmpty() ? gpu(reader) : what(loads)));
        }
        refusals(format).forEach(r -> section.append("%n- %s".formatted(r)));
        bytes(format).forEach(b -> section.append("%n- %s".formatted(b)));
        String conversions = conversions(format);
        if (!conversions.isEmpty()) {
            section.append("%n- %s".formatted(conversions));
        }
        return section.append("\n").toString();
    }

    private static String notRun(Reader reader) {
        return "not run: " + (reader.proof() == Reader.Proof.RUN ? "a format of the same layout is" : reader.source());
    }

    private static String gpu(Reader reader) {
        return reader.gpu() == null ? "" : "GPUs of compute capability %s and more".formatted(reader.gpu());
    }

    /** The lines that load a format in a program. */
    static List<Loads> loads(String format, String program) {
        return Loads.all().stream()
                .filter(l ->
                        formatOf(l).equals(format) && l.loaders().stream().anyMatch(loader -> isOf(loader, program)))
                .toList();
    }

    private static boolean isOf(LoadCase.Loader loader, String program) {
        return loader.program.split(",")[0].equalsIgnoreCase(program);
    }

    static String formatOf(Loads load) {
        List<String> words = load.words();
        return switch (load.kind()) {
            case "packed" -> words.get(0);
            case "convert", "gguf" -> words.get(1);
            case "family" -> words.get(2);
            default -> words.contains("--format") ? words.get(words.indexOf("--format") + 1) : "gptq";
        };
    }

    private static String accuracy(List<Loads> loads, String program) {
        Set<String> ways = new LinkedHashSet<>();
        for (Loads load : loads) {
            load.loaders().stream()
                    .filter(loader -> isOf(loader, program))
                    .forEach(loader -> ways.add("%s%s: %s"
                            .formatted(
                                    loader.name().endsWith("EXPERTS") ? "experts, " : "",
                                    loader.dtype,
                                    loader.tolerance)));
        }
        return "run, " + String.join("; ", ways);
    }

    private static String what(List<Loads> loads) {
        List<String> parts = new ArrayList<>();
        loads.stream().filter(l -> l.kind().equals("packed")).forEach(l -> parts.add(scheme(l.words())));
        loads.stream()
                .filter(l -> List.of("quantize", "other", "server").contains(l.kind()))
                .forEach(l -> parts.add(
                        "`quantize demo" + (l.words().isEmpty() ? "" : " ") + String.join(" ", l.words()) + "`"));
        String converted = loads.stream()
                .filter(l -> l.kind().equals("convert"))
                .map(l -> l.words().get(0))
                .collect(Collectors.joining(", "));
        if (!converted.isEmpty()) {
            parts.add("converted from " + converted);
        }
        String models = loads.stream()
                .filter(l -> l.kind().equals("gguf"))
                .map(l -> l.words().get(0))
                .collect(Collectors.joining(", "));
        if (!models.isEmpty()) {
            parts.add("of models rounded to nearest: " + models);
        }
        String families = loads.stream()
                .filter(l -> l.kind().equals("family"))
                .map(l -> l.words().get(1))
                .collect(Collectors.joining(", "));
        if (!families.isEmpty()) {
            parts.add("families in 4 bits: " + families);
        }
        return String.join("; ", parts);
    }

    private static String scheme(List<String> words) {
        return "%s bits, %s, %s, order %s%s"
                .formatted(
                        words.get(1),
                        words.get(2).equals("-1") ? "whole rows" : "groups of " + words.get(2),
                        words.get(3).equals("sym") ? "symmetric" : "zero points",
                        words.get(4),
                        words.contains("kept") ? ", some linears kept" : "");
    }

    private static List<String> refusals(Format format) {
        Set<String> said = new LinkedHashSet<>();
        for (Reader reader : Readers.of(format)) {
            for (Reader.Case each : reader.cases() == null ? List.<Reader.Case>of() : reader.cases()) {
                List<String> formats = each.when().formats();
                if (each.refuses() != null && (formats == null || formats.contains(format.name()))) {
                    said.add(each.refuses()
                            .replace(
                                    "{family}",
                                    each.when().families() == null
                                            ? "this family"
                                            : String.join(", ", each.when().families()))
                            .replace(", not {bits}", "")
                            .replace(", not {group}", ""));
                }
            }
        }
        return List.copyOf(said);
    }

    private static List<String> bytes(Format format) {
        List<String> said = new ArrayList<>();
        if (format.container() == Container.GGUF) {
            said.add("each type by itself, without importance of inputs and with it: the bytes of libggml's quantizers"
                    + " (`GgufQuantizersTest`)");
        }
        for (String test : List.of("quern.format.KnownGoodTest", "quern.format.PackGoldenTest")) {
            for (String[] row : rows(test)) {
                if (row[1].equals(format.name())) {
                    said.add(
                            "`%s`, %s bits, which its tool wrote: read as an independent script reads it, and packed to the same bytes"
                                    .formatted(row[0], row[2]));
                }
            }
        }
        for (String[] row : rows("quern.format.CastGoldenTest")) {
            if (row[1].equals(format.name())) {
                said.add("`%s`, which its tool wrote: made again of the same weights, %s"
                        .formatted(
                                row[0], row[2].equals("0") ? "the same bytes" : "at most " + row[2] + " bytes differ"));
            }
        }
        return said;
    }

    private static String conversions(Format format) {
        String sources = rows("quern.app.ConvertTest").stream()
                .filter(row -> row.length == 3 && row[1].equals(format.name()) && !row[2].startsWith("'"))
                .map(row -> "`%s`%s".formatted(row[0], row[2].equals("0") ? "" : " (scales rounded)"))
                .collect(Collectors.joining(", "));
        return sources.isEmpty() ? "" : "`quern convert` to it, every weight compared: " + sources;
    }

    /** The rows of a test's tables. */
    private static List<String[]> rows(String test) {
        try {
            Class<?> type = Class.forName(test);
            return Arrays.stream(type.getDeclaredMethods())
                    .sorted(Comparator.comparing(Method::getName))
                    .map(method -> method.getAnnotation(CsvSource.class))
                    .filter(Objects::nonNull)
                    .flatMap(table -> Stream.of(table.value()))
                    .map(row -> row.strip().split(" *, *", 4))
                    .map(row -> row.length > 3 ? Arrays.copyOf(row, 3) : row)
                    .toList();
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(String.format(Locale.ROOT, "The tests of the core lack %s", test), e);
        }
    }
}
