package quern.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import quern.format.Format;
import quern.method.Method;
import quern.method.Methods;
import quern.model.Model;
import quern.scheme.Recipe;
import quern.tensor.DType;

/** What a plan takes: arithmetic, time, memory and bytes. */
final class Cost {
    /**
     * What forwards, Hessians and solves reach of the measured rate of matrix products, and the seconds before and after them; as
     * measured on a 135M model, see DESIGN.md.
     */
    private static final double OF_FORWARD = 0.65;

    private static final double OF_HESSIANS = 0.55;
    private static final double OF_SOLVES = 0.02;
    private static final double AROUND = 10;

    private final Model model;
    private final Planner.Request request;
    private final List<Plan.SitePlan> sites;
    private final Plan.Calibration calibration;
    private final int stages;
    private final List<Plan.Shard> shards;
    private final Recipe recipe;
    private final Method method;
    private final Format format;

    Cost(
            Model model,
            Planner.Request request,
            Recipe recipe,
            List<Plan.SitePlan> sites,
            Plan.Calibration calibration,
            int stages,
            List<Plan.Shard> shards,
            Format format) {
        this.recipe = recipe;
        this.method = Methods.named(recipe.method());
        this.format = format;
        this.model = model;
        this.request = request;
        this.sites = sites;
        this.calibration = calibration;
        this.stages = stages;
        this.shards = shards;
    }

    Plan.Cost figures() {
        long source = model.tensors().names().stream()
                .mapToLong(n -> model.tensors().spec(n).bytes())
                .sum();
        long result = shards.stream().mapToLong(Plan.Shard::bytes).sum();
        long activations = calibration.tokens()
                * model.hiddenSize()
                * request.machine().computeType().bytes();
        int slots = request.machine().slots();
        double gflops = request.machine().gflops();
        int together = together();
        if (calibration.parts().isEmpty() && format.casts()) {
            CastCost cast = new CastCost(sites, method, format);
            return new Plan.Cost(
                    slots, request.machine().devices(), gflops, cast.seconds(slots), cast.memory(), 1, source, result);
        }
        return new Plan.Cost(
                tasks(),
                request.machine().devices(),
                gflops,
                seconds(),
                memory(together),
                together,
                source * (calibration.tokens() == 0 ? 1 : Math.round(runs(together) * forwards()) + 1),
                2 * result + 2 * activations);
    }

    /** Of parts that are taken together, each of which loads every layer. */
    private long runs(int together) {
        return (calibration.parts().size() + together - 1) / together;
    }

    /** Tasks at a time: one on each GPU, however many cores are beside it. */
    private int tasks() {
        int devices = request.machine().devices();
        return devices == 0 ? request.machine().slots() : devices;
    }

    /** All parts, or as many as a GPU's memory holds while some is left for layers that wait for their turn. */
    private int together() {
        if (request.machine().devices() == 0) {
            return 1;
        }
        int together = Math.max(1, Integer.highestOneBit(2 * calibration.parts().size() - 1));
        long room = request.machine().slotMemory() / 4 * 3;
        while (together > 1 && room > 0 && bytes(memory(together)) > room) {
            together /= 2;
        }
        return together;
    }

    private static long bytes(List<Plan.Term> terms) {
        return terms.stream().mapToLong(Plan.Term::bytes).sum();
    }

    /**
     * One forward where the pass with taps feeds the next layer too; else two, and a third for the boundaries. Of a layer whose sites are
     * taken one after the other, each pass goes about half way on average. Where drifts are gathered, as much goes in full precision beside it.
     */
    private double forwards() {
        if (stages == model.layers() && stages > 1) {
            return 1;
        }
        double ways = 1;
        if (recipe.trueSequential()) {
            long ranks = sites.stream()
                    .filter(site -> site.layer() == 0)
                    .map(Plan.SitePlan::rank)
                    .distinct()
                    .count();
            ways = ranks / 2.0;
        }
        return (stages == 1 ? 0 : 1) + (drifts() ? 2 : 1) * (1 + ways);
    }

    private boolean drifts() {
        return method.needsDrift();
    }

    private double seconds() {
        double forward = 0;
        double hessians = 0;
        double solves = 0;
        double tokens = calibration.tokens();
        double ofExperts = expected();
        for (Plan.SitePlan site : sites) {
            double n = site.inputs();
            double reaching = site.ofExpert() ? tokens * ofExperts : tokens;
            hessians += reaching * n * n; // half of 2 n^2: the lower triangle
            solves += n * n * n / 3;
            if (drifts() && site.drifts()) {
                hessians += 2 * reaching * n * (n + site.added());
                solves += n * n * (2 * n + site.added());
            }
            for (Plan.LinearPlan linear : site.linears()) {
                forward += 2 * reaching * n * linear.outputs();
                solves += 2.0 * linear.outputs() * n * n;
            }
        }
        double attention = 2 * tokens * calibration.length() * model.hiddenSize() * model.layers();
        int slots = tasks();
        int passing = Math.max(1, Math.min(slots, calibration.parts().size())); // tasks of a pass
        double rate = request.machine().gflops() * 1e9;
        return AROUND
                + forwards() * (forward + attention) / (OF_FORWARD * rate * passing)
                + hessians / (OF_HESSIANS * rate * passing)
                + solves / (OF_SOLVES * rate * slots);
    }

    /** The share of the tokens that an expert gets if the router prefers none. */
    private double expected() {
        return IntStream.range(0, model.layers())
                .filter(layer -> model.experts(layer) > 0)
                .mapToDouble(layer -> (double) model.expertsOfToken() / model.experts(layer))
                .findFirst()
                .orElse(1);
    }

    /**
     * Of sites that are in memory together, the most of all layers: those that every token passes, and beside them one expert at a
     * time.
     */
    private long most(ToLongFunction<Plan.SitePlan> bytes) {
        Map<Integer, Long> own = new HashMap<>(); // by layer
        Map<Long, Long> experts = new HashMap<>(); // by layer and expert
        for (Plan.SitePlan site : sites) {
            if (site.ofExpert()) {
                experts.merge((long) site.layer() << 32 | site.expert(), bytes.applyAsLong(site), Long::sum);
            } else {
                own.merge(site.layer(), bytes.applyAsLong(site), Long::sum);
            }
        }
        return own.values().stream().mapToLong(Long::longValue).max().orElse(0)
                + experts.values().stream().mapToLong(Long::longValue).max().orElse(0);
    }

    /** The terms of a task's memory: a pass of parts and the solve of a site; on a GPU of several sites beside it. */
    private List<Plan.Term> memory(int together) {
        boolean gpu = request.machine().devices() > 0;
        long operand = request.machine().computeType().bytes();
        long layerWeights = most(site -> site.linears().stream()
                .mapToLong(l -> (long) l.outputs() * l.inputs() * operand)
                .sum());
        long widest = sites.stream().mapToLong(Plan.SitePlan::inputs).max().orElse(0);
        long tallest = sites.stream()
                .flatMap(s -> s.linears().stream())
                .mapToLong(Plan.LinearPlan::outputs)
                .max()
                .orElse(0);
        // Of an expert, and of its pool; or of a site and its drift.
        long grams = most(site -> 4L
                * site.inputs()
                * ((site.ofExpert() || (drifts() && site.drifts()) ? 2 : 1) * site.inputs()
                        + (drifts() && site.drifts() ? site.added() : 0)));
        long pools = sites.stream()
                .filter(Plan.SitePlan::ofExpert)
                .mapToLong(site -> 4L * site.inputs() * site.inputs())
                .max()
                .orElse(0);
        long largestWeight = sites.stream()
                .flatMap(s -> s.linears().stream())
                .mapToLong(l -> 4L * l.outputs() * l.inputs())
                .max()
                .orElse(0);
        List<Plan.Term> terms = new ArrayList<>();
        long partTokens = calibration.parts().stream()
                .mapToLong(p -> (long) p.count() * calibration.length())
                .max()
                .orElse(0);
        if (partTokens > 0) {
            long batchTokens = (long) calibration.batch() * calibration.length();
            terms.add(
                    drifts()
                            ? new Plan.Term("weights of a layer, quantized and not", 2 * layerWeights)
                            : new Plan.Term("weights of a layer", layerWeights));
            terms.add(new Plan.Term(
                    together == 1 ? "hidden states of a part" : "hidden states of " + together + " parts",
                    (drifts() ? 2 : 1) * together * partTokens * model.hiddenSize() * DType.F32.bytes()));
            terms.add(new Plan.Term(
                    "activations of a batch",
                    batchTokens
                            * 4
                            * (drifts() ? 2 * (3 * widest + 2 * tallest) + 4 * widest : 3 * widest + 2 * tallest)));
            int open = Integer.numberOfTrailingZeros(together) + 2; // the tree of parts, and a sum that is being formed
            terms.add(new Plan.Term("Hessians of a layer", open * grams + (together - 1) * pools));
        }
        long halves = gpu ? 3 * 2 * 2048 * (Math.min(tallest, 16_384) + widest) : 0; // of a product's operands
        long solve = (drifts() ? 6 : 3) * 4 * widest * widest + (gpu ? 4 : 3) * largestWeight + halves;
        solve += drifts() ? largestWeight : 0;
        long experts = sites.stream()
                .filter(Plan.SitePlan::ofExpert)
                .filter(site -> site.linears().stream().allMatch(l -> method.batches(l.scheme())))
                .mapToLong(Plan.SitePlan::solveBytes)
                .sum();
        long batch = Math.min(experts, gpu ? Plan.Cost.BATCH_ON_GPU : Plan.Cost.BATCH);
        if (gpu) {
            long waiting = 4 * widest * widest;
            long each = Math.max(solve + waiting, batch);
            terms.add(new Plan.Term(
                    "solves of " + Plan.Cost.SOLVERS + " sites", Plan.Cost.SOLVERS * each + Math.max(waiting, batch)));
        } else {
            terms.add(new Plan.Term("solve of a site", Math.max(solve, batch)));
        }
        return terms;
    }
}
