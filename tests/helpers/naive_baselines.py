"""Straightforward implementations of the labelled baselines, from their formulas and sharing no code with `tte`.

All take whole float64 arrays without ignored samples. They are the references of the tests and of the benchmarks.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA


def log_evidence(features, y, alpha, beta):
    """log N(y; 0, I/β + FFᵀ/α), from the n × n covariance itself."""
    n = len(y)
    covariance = np.eye(n) / beta + features @ features.T / alpha
    _, logdet = np.linalg.slogdet(covariance)
    return -0.5 * (n * np.log(2 * np.pi) + logdet + y @ np.linalg.solve(covariance, y))


def logme_brute_force(features, labels):
    """Mean over classes of the evidence maximised over (log α, log β): a grid, then Nelder–Mead from each of its hills.

    The evidence is written in the eigenbasis of FFᵀ (n × n), where it costs O(n) per pair of precisions.
    """
    n = len(labels)
    eigenvalues, vectors = np.linalg.eigh(features @ features.T)
    eigenvalues = np.maximum(eigenvalues, 0)
    alphas = np.log(eigenvalues.max() + 1e-300) + np.arange(-20, 30, 0.75)
    betas = np.arange(-3, 25, 0.25)
    return np.mean(
        [_brute_force((vectors.T @ (labels == c)) ** 2, eigenvalues, alphas, betas) / n for c in np.unique(labels)]
    )


def _brute_force(squares, eigenvalues, alphas, betas):
    """Maximum of the log evidence of one y with squared projections `squares` on the eigenvectors."""

    def loss(p):
        variances = np.exp(-p[1]) + np.exp(-p[0]) * eigenvalues
        return 0.5 * np.sum(np.log(2 * np.pi * variances) + squares / variances)

    table = np.array([[loss((a, b)) for b in betas] for a in alphas])
    ridge = np.pad(table.min(axis=1), 1, constant_values=np.inf)
    best = np.inf
    for k in np.flatnonzero((ridge[1:-1] <= ridge[:-2]) & (ridge[1:-1] <= ridge[2:])):
        start = np.array([alphas[k], betas[table[k].argmin()]])
        simplex = start + np.array([[0, 0], [0.5, 0], [0, 0.2]])
        options = {"xatol": 1e-8, "fatol": 1e-12, "maxfev": 4000, "initial_simplex": simplex}
        best = min(best, minimize(loss, start, method="Nelder-Mead", options=options).fun)
    return -best


def logme_fixed_point(features, labels, tolerance=1e-12, steps=1000):
    """Evidence by SVD and MacKay's fixed point for (α, β), residuals from the samples: right for n well above D."""
    n, depth = features.shape
    left, singular, right = np.linalg.svd(features, full_matrices=False)
    squared = singular**2
    scores = []
    for c in np.unique(labels):
        y = (labels == c).astype(float)
        z = left.T @ y
        alpha, beta = 1.0, 1.0
        for _ in range(steps):
            precision = alpha + beta * squared
            effective = np.sum(beta * squared / precision)
            weights = right.T @ (beta * singular * z / precision)
            norm = weights @ weights
            error = np.sum((features @ weights - y) ** 2)
            old = alpha / beta
            alpha, beta = effective / norm, (n - effective) / error
            if abs(alpha / beta - old) <= tolerance * old:
                break
        precision = alpha + beta * squared
        weights = right.T @ (beta * singular * z / precision)
        error = np.sum((features @ weights - y) ** 2)
        evidence = n * np.log(beta) + depth * np.log(alpha) - n * np.log(2 * np.pi) - beta * error
        evidence += -alpha * weights @ weights - np.sum(np.log(precision)) - (depth - len(precision)) * np.log(alpha)
        scores.append(evidence / 2 / n)
    return np.mean(scores)


def coding_rate(z, epsilon):
    """½ log det(I + ZᵀZ/(nε)), of the smaller of the two Gram matrices (Sylvester)."""
    n, depth = z.shape
    gram = z.T @ z if depth <= n else z @ z.T
    return 0.5 * np.linalg.slogdet(np.eye(len(gram)) + gram / (n * epsilon))[1]


def transrate(features, labels, weighting="proportional", epsilon=1e-4):
    """R(Z) − Σ w_c R(Z_c)."""
    z = features - features.mean(axis=0)
    classes = np.unique(labels)
    score = coding_rate(z, epsilon)
    for c in classes:
        weight = np.mean(labels == c) if weighting == "proportional" else 1 / len(classes)
        score -= weight * coding_rate(z[labels == c], epsilon)
    return score


def gbc(features, labels, covariance="diagonal", floor=1e-4, components=None):
    """−Σ over ordered pairs of exp(−D_B), one pair at a time with full covariance matrices."""
    if components is not None:
        features = PCA(components, svd_solver="full").fit_transform(features)
    gaussians = {}
    for c in np.unique(labels):
        x = features[labels == c]
        variances = x.var(axis=0, ddof=1) if len(x) > 1 else np.zeros(x.shape[1])
        variances = np.maximum(variances, floor)
        if covariance == "spherical":
            variances = np.full_like(variances, variances.mean())
        gaussians[c] = x.mean(axis=0), variances
    score = 0.0
    for i, (mean_i, var_i) in gaussians.items():
        for j, (mean_j, var_j) in gaussians.items():
            if i != j:
                pooled = np.diag((var_i + var_j) / 2)
                gap = mean_i - mean_j
                ratio = np.linalg.slogdet(pooled)[1] - (np.log(var_i).sum() + np.log(var_j).sum()) / 2
                score -= np.exp(-(gap @ np.linalg.solve(pooled, gap) / 8 + ratio / 2))
    return score


def hscore(features, labels, regularized=True):
    """tr(Σ⁻¹ Σ_between) with scikit-learn's Ledoit–Wolf, or NumPy's pseudo-inverse."""
    conditional = np.zeros_like(features)
    for c in np.unique(labels):
        conditional[labels == c] = features[labels == c].mean(axis=0)
    between = np.atleast_2d(np.cov(conditional, rowvar=False, ddof=0))
    if regularized:
        shrunk, alpha = ledoit_wolf(features)
        return (1 - alpha) * np.trace(np.linalg.solve(shrunk, between))
    covariance = np.atleast_2d(np.cov(features, rowvar=False, ddof=0))
    return np.trace(np.linalg.pinv(covariance, rcond=1e-12, hermitian=True) @ between)


def leep(probabilities, labels):
    """Mean log of the expected empirical prediction, by the joint distribution of label and source class."""
    n = len(labels)
    classes = np.unique(labels)
    joint = np.array([probabilities[labels == c].sum(axis=0) / n for c in classes])
    conditional = joint / joint.sum(axis=0)
    predictions = probabilities @ conditional.T
    index = {c: i for i, c in enumerate(classes)}
    return np.mean(np.log([prediction[index[y]] for prediction, y in zip(predictions, labels, strict=True)]))


def nleep(features, labels, seed, energy=0.8):
    """LEEP of the posteriors of a mixture of 5 C Gaussians on the principal components that hold 80% of the energy."""
    centred = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    shares = np.cumsum(singular**2) / np.sum(singular**2)
    kept = np.count_nonzero(shares <= energy) + 1
    x = left[:, :kept] * singular[:kept]
    x /= np.sqrt(np.mean(np.sum(x**2, axis=1)))
    return leep(mixture_posteriors(x, min(5 * len(np.unique(labels)), len(labels)), seed), labels)


def mixture_posteriors(x, clusters, seed, tolerance=1e-3, steps=100):
    """Posteriors of a Gaussian mixture that starts from k-means labels, until its evidence gains less than 0.001."""
    posteriors = np.eye(clusters)[KMeans(clusters, n_init=1, random_state=seed).fit(x).labels_]
    evidence = -np.inf
    for _ in range(steps):
        before = evidence
        posteriors, evidence = _maximise_and_expect(x, posteriors)
        if abs(evidence - before) < tolerance:
            break
    return _maximise_and_expect(x, posteriors)[0]


def _maximise_and_expect(x, posteriors, ridge=1e-6):
    """Posteriors and mean log evidence under the Gaussians that the given posteriors fit, one cluster at a time."""
    logs = []
    for share in posteriors.T:
        size = share.sum() + 10 * np.finfo(float).eps
        mean = share @ x / size
        covariance = (x - mean).T @ np.diag(share) @ (x - mean) / size + ridge * np.eye(x.shape[1])
        logs.append(np.log(size / len(x)) + np.atleast_1d(multivariate_normal(mean, covariance).logpdf(x)))
    evidence = np.logaddexp.reduce(logs, axis=0)
    return np.exp(logs - evidence).T, evidence.mean()


def knn_accuracy(features, labels, k, balanced=True):
    """Leave-one-out vote by the full distance matrix, ties shared."""
    distances = ((features[:, None] - features[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    credit = np.zeros(len(labels))
    for i, row in enumerate(distances):
        found, votes = np.unique(labels[np.argsort(row, kind="stable")[:k]], return_counts=True)
        winners = found[votes == votes.max()]
        credit[i] = (labels[i] in winners) / len(winners)
    return np.mean([credit[labels == c].mean() for c in np.unique(labels)]) if balanced else credit.mean()


def two_pass_moments(samples):
    """Count, mean, scatter, Σ‖y‖²y and Σ‖y‖⁴ of whole arrays."""
    y = samples - samples.mean(axis=0)
    squares = (y**2).sum(axis=1)
    return len(samples), samples.mean(axis=0), y.T @ y, squares @ y, (squares**2).sum()
