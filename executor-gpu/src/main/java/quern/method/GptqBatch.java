package quern.method;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.method.GptqSolver.Factored;
import quern.method.GptqSolver.Order;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/**
 * GPTQ for several sites whose linears are alike, as the experts of a layer: each is ordered, damped and factored as it is alone, with
 * the notes of that, and then all are swept as one stack. A site whose Hessian cannot be factored is rounded, and is no member.
 */
final class GptqBatch implements Method.Batch {
    private final List<GptqSolver> sites = new ArrayList<>();
    private final Device device;
    private final Map<Order, Stack> stacks = new HashMap<>();

    GptqBatch(Recipe recipe, List<? extends @Nullable Hessian> hessians, Device device) {
        this.device = device;
        for (Hessian hessian : hessians) {
            sites.add(new GptqSolver(recipe, Objects.requireNonNull(hessian), device, 0));
        }
    }

    /** Where the sweep of a linear needs nothing that is its own beside its Hessian. */
    static boolean stacks(Scheme scheme) {
        return scheme.blocks() == null && !scheme.isJoint() && !scheme.sharesRows();
    }

    /**
     * @param factored of each site
     * @param inputs of those that could be factored, in their order; null where none could
     */
    private record Stack(List<Factored> factored, @Nullable Inputs inputs) {}

    @Override
    public List<Method.Outcome> quantize(List<String> linears, List<Matrix> weights, Scheme scheme) {
        if (!stacks(scheme)) {
            throw new IllegalArgumentException("Linears of " + scheme + " are no stack");
        }
        for (int i = 0; i < sites.size(); i++) {
            sites.get(i).check(linears.get(i), weights.get(i), scheme);
        }
        Stack stack = stacks.computeIfAbsent(Order.of(scheme, weights.get(0).cols()), order -> factor(scheme));
        List<Matrix> swept = new ArrayList<>();
        for (int i = 0; i < sites.size(); i++) {
            if (stack.factored().get(i).inputs() != null) {
                swept.add(weights.get(i));
            }
        }
        Assembly assembly = stack.inputs() == null
                ? null
                : sites.get(0).sweep(stack.inputs(), scheme, 1).quantize(swept);
        List<Method.Outcome> outcomes = new ArrayList<>();
        int member = 0;
        for (int i = 0; i < sites.size(); i++) {
            Factored factored = stack.factored().get(i);
            outcomes.add(
                    assembly == null || factored.inputs() == null
                            ? sites.get(i).rounded(weights.get(i), scheme, factored.notes())
                            : assembly.outcome(member++, factored.notes()));
        }
        return outcomes;
    }

    private Stack factor(Scheme scheme) {
        List<Factored> factored = new ArrayList<>();
        List<Inputs> members = new ArrayList<>();
        try {
            for (GptqSolver site : sites) {
                Factored one = site.factor(scheme);
                factored.add(one);
                if (one.inputs() != null) {
                    members.add(one.inputs());
                }
            }
        } catch (RuntimeException e) {
            members.forEach(Inputs::close);
            throw e;
        }
        return new Stack(factored, members.isEmpty() ? null : Inputs.stack(members, device));
    }

    @Override
    public void close() {
        for (Stack stack : stacks.values()) {
            if (stack.inputs() != null) {
                stack.inputs().close();
            }
        }
    }
}
