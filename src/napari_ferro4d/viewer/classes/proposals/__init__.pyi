from .panel import ProposalsPanel as ProposalsPanel
