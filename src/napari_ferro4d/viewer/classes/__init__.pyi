from .proposals import ProposalsPanel as ProposalsPanel
