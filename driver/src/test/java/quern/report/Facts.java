package quern.report;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import quern.scheme.Recipe;

/** Made-up facts, for looking at the page and for its tests. */
final class Facts {
    private static final String[] LINEARS = {
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj"
    };

    private Facts() {}

    static Report small() {
        return of("made-up-4m", Recipe.DEFAULT, 4, 1, false, evaluation());
    }

    static Report large() {
        return of(
                "a-laboratory-with-a-long-name/A-Model-With-A-Very-Long-Name-72B-Instruct-2026-11-preview",
                Recipe.DEFAULT,
                80,
                16,
                true,
                evaluation());
    }

    static Report quantizedBefore(String lossy) {
        return of("made-up-4m", lossy, Recipe.DEFAULT, 4, 1, false, evaluation(), 0);
    }

    static Report.@Nullable Evaluation evaluation() {
        return new Report.Evaluation("made-up.txt", 100, 256, 4.848, 4.9012, 0.01234, 0.9642);
    }

    static Report of(
            String model,
            Recipe recipe,
            int layers,
            int executors,
            boolean noted,
            Report.@Nullable Evaluation evaluation) {
        return of(model, null, recipe, layers, executors, noted, evaluation, 0);
    }

    static Report of(
            String model,
            Recipe recipe,
            int layers,
            int executors,
            boolean noted,
            Report.@Nullable Evaluation evaluation,
            int experts) {
        return of(model, null, recipe, layers, executors, noted, evaluation, experts);
    }

    private static Report of(
            String model,
            @Nullable String lossy,
            Recipe recipe,
            int layers,
            int executors,
            boolean noted,
            Report.@Nullable Evaluation evaluation,
            int experts) {
        Random random = new Random(7);
        List<Report.Linear> linears = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            for (String linear : LINEARS) {
                double rtn = Math.exp(random.nextGaussian() - 3 + 3.0 * layer / layers);
                double share = 0.25 + 0.5 * random.nextDouble();
                List<String> notes = new ArrayList<>();
                if (noted && random.nextInt(60) == 0) {
                    notes.add("damping raised from 0.01 to 0.02: the Hessian was not positive definite");
                }
                if (noted && random.nextInt(150) == 0) {
                    share = 1.3;
                    notes.add("fell back to round-to-nearest: <b>too few tokens</b>");
                }
                linears.add(new Report.Linear(
                        layer,
                        "model.layers." + layer + "." + linear,
                        linear,
                        -1,
                        262_144,
                        256,
                        768,
                        4,
                        rtn * share,
                        rtn,
                        notes));
            }
            for (int expert = 0; expert < experts; expert++) {
                long tokens = random.nextInt(20) == 0 ? random.nextInt(100) : 1_000 + random.nextInt(8_000);
                List<String> notes =
                        tokens < 256 ? List.of(tokens + " calibration tokens reached this expert") : List.of();
                for (String linear : new String[] {"gate_proj", "up_proj", "down_proj"}) {
                    String name = "mlp.experts." + expert + "." + linear;
                    double rtn = Math.exp(random.nextGaussian() - 5);
                    linears.add(new Report.Linear(
                            layer,
                            "model.layers." + layer + "." + name,
                            name,
                            expert,
                            tokens,
                            256,
                            768,
                            4,
                            rtn * 0.5,
                            rtn,
                            notes));
                }
            }
        }
        Map<String, Double> seconds = new LinkedHashMap<>();
        seconds.put("load", 0.41);
        seconds.put("calibrate", 3.9);
        seconds.put("Hessian", 2.2);
        seconds.put("solve", 4.6);
        seconds.put("pack", 0.3);
        seconds.put("write", 0.22);
        Map<String, Long> peaks = new LinkedHashMap<>();
        for (int e = 0; e < executors; e++) {
            peaks.put(executors == 1 ? "driver" : "executor " + e, 1_300_000_000L + 37_000_000L * (e % 5));
        }
        Map<String, String> versions = new LinkedHashMap<>();
        versions.put("Quern", "0.1.0");
        versions.put("Spark", "4.2.0");
        versions.put("Java", "17.0.17");
        return new Report(
                model,
                "llama",
                "file:/models/" + model,
                lossy,
                "file:/out/" + model + "-w4",
                recipe,
                "exact",
                new Report.Calibration(
                        "made-up.txt",
                        128,
                        2048,
                        262_144,
                        "7d793037a0760186574b0282f2f435e7d9a3f1d3a8b4d9a0f4b1f8e0b1f6f0aa"),
                List.of("1 stage of " + layers + " layers, 8 parts", "memory 1.6 GB per executor"),
                linears,
                seconds,
                11.9,
                new Report.Machine("cpu avx512_core_amx dnnl-3.11 openblas-0.3.31", "local[2]", executors),
                new Report.Memory(1_400_000_000L, peaks, List.of()),
                new Report.Size(7_350_000, 2_450_000, 4.156),
                null,
                evaluation,
                versions);
    }
}
