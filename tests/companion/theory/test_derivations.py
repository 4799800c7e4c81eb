"""The steps of Section 3 and Appendix C, by computer algebra."""

import sympy as sp

ALPHA, EPSILON, S = sp.symbols("alpha epsilon s", real=True)


def risk(name: str, theta: sp.Symbol) -> tuple[sp.Expr, sp.Symbol, sp.Symbol]:
    """A quadratic c + g·θ + h/2·θ² with symbolic slope and curvature."""
    g, h = sp.symbols(f"g_{name} h_{name}", real=True)
    return g * theta + h / 2 * theta**2, g, h


def test_eq_15_solves_the_expansion_of_eq_14() -> None:
    """0 = ∇R_tr + ε∇R_f + (∇²R_tr + ε∇²R_f)(θ_f − θ_tr) with ∇R_tr(θ_tr) = 0."""
    step, g_f, h_tr, h_f = sp.symbols("step g_f h_tr h_f")
    expansion = 0 + EPSILON * g_f + (h_tr + EPSILON * h_f) * step
    (found,) = sp.solve(expansion, step)
    eq_15 = -(EPSILON * g_f) / (h_tr + EPSILON * h_f)
    assert sp.simplify(found - eq_15) == 0
    h_r = sp.symbols("h_r")
    ascent = eq_15.subs(EPSILON, -1).subs(h_tr, h_r + h_f)
    assert sp.simplify(ascent - g_f / h_r) == 0  # Δθ_f of Eq. (17): a plus sign, and H of D_r


def test_eq_16_solves_its_expansion_around_theta_r() -> None:
    """0 = ∇R_tr(θ_r) + ∇²R_tr(θ_r)(θ_tr − θ_r): around θ_r, not around θ_tr as Eq. (20) has it."""
    theta = sp.symbols("theta")
    r_tr, g, h = risk("tr", theta)
    (theta_tr,) = sp.solve(sp.diff(r_tr, theta), theta)
    theta_r = sp.symbols("theta_r")
    slope = sp.diff(r_tr, theta).subs(theta, theta_r)
    assert sp.simplify((theta_r - theta_tr) - slope / h) == 0
    around_tr = sp.diff(r_tr, theta).subs(theta, theta_tr)  # what Eq. (20) expands: it vanishes
    assert sp.simplify(around_tr) == 0
    assert g in slope.free_symbols


def test_eq_18_has_a_plus_sign() -> None:
    """On quadratics Δθ_r = Δθ_f, and ∇R_f(θ_r) = +H·∇R_f(θ_tr) with H = ∇²R_tr/∇²R_r."""
    theta = sp.symbols("theta")
    r_r, _, h_r = risk("r", theta)
    r_f, _, h_f = risk("f", theta)
    (theta_tr,) = sp.solve(sp.diff(r_r + r_f, theta), theta)
    (theta_r,) = sp.solve(sp.diff(r_r, theta), theta)
    slope_f = sp.diff(r_f, theta)
    left, right = slope_f.subs(theta, theta_r), slope_f.subs(theta, theta_tr)
    ratio = (h_r + h_f) / h_r
    assert sp.simplify(left - ratio * right) == 0
    # the minus sign of Theorem 1 fits the sum over D_r, as ∇R_r(θ_tr) = −∇R_f(θ_tr)
    slope_r = sp.diff(r_r, theta).subs(theta, theta_tr)
    assert sp.simplify(left + ratio * slope_r) == 0


def test_the_remainders_of_eqs_29_and_30() -> None:
    """θ_r − θ_tr = Δθ_r + r_q/H_r and θ_f − θ_tr = Δθ_f − r_p/H_f: one sign each."""
    d, q, h, r_q, r_p, g_f = sp.symbols("d q h r_q r_p g_f")
    (moved,) = sp.solve(q + h * (-d) + r_q, d)  # q(θ_tr) = 0, expanded at θ_r; d = θ_r − θ_tr
    assert sp.simplify(moved - (q / h + r_q / h)) == 0
    (moved,) = sp.solve(-g_f + h * d + r_p, d)  # p(θ_f) = 0, expanded at θ_tr; d = θ_f − θ_tr
    assert sp.simplify(moved - (g_f / h - r_p / h)) == 0


def test_the_taylor_remainder_of_eq_27() -> None:
    """With a Hessian that changes at the rate L, ∫₀¹(H(t) − H(0))·d dt = L/2·d²."""
    t, d, lipschitz = sp.symbols("t d L", positive=True)
    assert sp.integrate(lipschitz * t * d * d, (t, 0, 1)) == lipschitz * d**2 / 2


def test_eq_33_follows_from_eq_32() -> None:
    """Δ for the loss (1 + (1−K)/K·α)ℓ(y) + (α/K)Σ_{y'≠y}ℓ(y'), with Δθ_n as in Eq. (34)."""
    k = sp.symbols("K", positive=True)
    delta_r, g_f, g_others, h_r = sp.symbols("Delta_r g_f g_others h_r")
    gradient = (1 + (1 - k) / k * ALPHA) * g_f + ALPHA / k * g_others
    delta_f, delta_n = g_f / h_r, g_others / h_r / (k - 1)
    exact = delta_r - gradient / h_r
    first = delta_r + (1 + (1 - k) / k * ALPHA) * (-delta_f) + (1 - k) / k * ALPHA * delta_n
    second = delta_r - delta_f + (1 - k) / k * ALPHA * (delta_n - delta_f)
    assert sp.simplify(exact - first) == 0
    assert sp.simplify(first - second) == 0


def test_the_minimiser_of_theorem_2() -> None:
    """‖a + (1−K)/K·αb‖² is least at α = K/(K−1)·⟨a, b⟩/‖b‖²; at 0 its slope is ∝ −⟨a, b⟩."""
    k = sp.symbols("K", positive=True)
    a1, a2, b1, b2 = sp.symbols("a1 a2 b1 b2", real=True)
    shrink = (1 - k) / k * ALPHA
    square = (a1 + shrink * b1) ** 2 + (a2 + shrink * b2) ** 2
    inner, length = a1 * b1 + a2 * b2, b1**2 + b2**2
    (best,) = sp.solve(sp.diff(square, ALPHA), ALPHA)
    assert sp.simplify(best - k / (k - 1) * inner / length) == 0
    slope = sp.diff(square, ALPHA).subs(ALPHA, 0)
    assert sp.simplify(slope - 2 * (1 - k) / k * inner) == 0


def test_a_spread_of_r_bounds_the_third_central_moment() -> None:
    """Two values R apart with weights p and 1−p: at most R³/(6√3)."""
    p, r = sp.symbols("p r", positive=True)
    moment = p * (1 - p) * (1 - 2 * p) * r**3
    places = sp.solve(sp.diff(moment, p), p)
    largest = max(sp.simplify(moment.subs(p, place) / r**3) for place in places)
    assert sp.simplify(largest - 1 / (6 * sp.sqrt(3))) == 0
    range_of_unit_vector = sp.sqrt(2)
    constant = largest * range_of_unit_vector**3
    assert sp.simplify(constant - sp.sqrt(2) / (3 * sp.sqrt(3))) == 0
