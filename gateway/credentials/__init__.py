"""Who the gateway is and whom it trusts: server keys, trusted certificates, pre-shared keys, and how they are kept."""
